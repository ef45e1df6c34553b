import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { afterEach, describe, expect, it, onTestFinished, vi } from 'vitest'
import { TICK } from '../../src/scheduler/clock.ts'
import type { SseStream } from '../../src/stream/stream.ts'
import { parseEvents } from '../support/parse.ts'
import { closed, fakeStream, nextTurn, settled } from '../support/streams.ts'

const code = (name: string) => expect.objectContaining({ name: 'SseError', code: name })

describe('sending', () => {
  it('leaves in one write per turn of the event loop', async () => {
    const { stream, transport } = fakeStream()
    stream.send({ data: 1 })
    await Promise.resolve()
    stream.send({ data: 2 })
    process.nextTick(() => stream.comment('note'))
    expect(transport.writes).toEqual([])
    await nextTurn()
    expect(transport.writes).toEqual(['data: 1\n\ndata: 2\n\n: note\n'])
    stream.send({ data: 3 })
    await nextTurn()
    expect(transport.writes).toHaveLength(2)
  })

  it('writes a single event as its shared frame', async () => {
    const { stream, transport } = fakeStream()
    stream.send({ data: 1 })
    await nextTurn()
    expect(transport.writes[0]).toBe('data: 1\n\n')
  })

  it('refuses a comment that is none', () => {
    const { stream } = fakeStream()
    expect(() => stream.comment(5 as never)).toThrow(code('ERR_SSE_EVENT'))
  })

  it('throws for an event that cannot be encoded, writes nothing of it and goes on', async () => {
    const { stream, transport } = fakeStream()
    stream.send({ data: 1 })
    expect(() => stream.send({ event: 'a\nb', data: 2 })).toThrow(code('ERR_SSE_EVENT_NAME'))
    expect(() => stream.send({ data: 3n })).toThrow(code('ERR_SSE_DATA'))
    stream.send({ data: 4 })
    await nextTurn()
    expect(transport.writes).toEqual(['data: 1\n\ndata: 4\n\n'])
    expect(stream.closed).toBe(false)
  })

  it('goes through the serialiser of the stream', async () => {
    const { stream, transport } = fakeStream({ serialize: (data) => `<${data}>` })
    stream.send({ data: 1 })
    await nextTurn()
    expect(transport.writes).toEqual(['data: <1>\n\n'])
  })

  it('answers false and queues while the kernel is full, and goes on when there is room (rule 27)', async () => {
    const { stream, transport } = fakeStream()
    transport.isFull = true
    expect(stream.send({ data: 1 })).toBe(true)
    await nextTurn()
    expect(stream.send({ data: 2 })).toBe(false)
    expect(stream.send({ data: 3 })).toBe(false)
    await nextTurn()
    expect(transport.writes).toEqual(['data: 1\n\n'])
    expect(stream).toMatchObject({ bufferedEvents: 2, bufferedBytes: 18 })
    transport.drain()
    expect(transport.writes).toEqual(['data: 1\n\n', 'data: 2\n\ndata: 3\n\n'])
    expect(stream).toMatchObject({ bufferedEvents: 0, bufferedBytes: 0 })
    expect(stream.send({ data: 4 })).toBe(true)
  })

  it('writes nothing into a full kernel: what waits is in the queue, not in Node (rule 30)', async () => {
    const { stream, transport } = fakeStream()
    transport.isFull = true
    for (let i = 0; i < 10; i++) stream.send({ data: 'x'.repeat(10_000) })
    await nextTurn()
    expect(transport.writes).toHaveLength(1)
    expect(stream.bufferedEvents).toBe(9)
  })

  it('answers false for the event of a burst before which the kernel was filled', () => {
    const { stream, transport } = fakeStream({ maxBufferedEvents: 1 })
    transport.isFull = true
    expect(stream.send({ data: 1 })).toBe(true)
    expect(stream.send({ data: 2 })).toBe(false)
    expect(transport.writes).toEqual(['data: 1\n\n'])
    transport.drain()
    expect(transport.writes).toEqual(['data: 1\n\n', 'data: 2\n\n'])
  })

  it('says drain once a client that had fallen behind has caught up', async () => {
    const { stream, transport } = fakeStream()
    const drained = vi.fn()
    stream.on('drain', drained)
    transport.isFull = true
    stream.send({ data: 1 })
    await nextTurn()
    stream.send({ data: 2 })
    expect(drained).not.toHaveBeenCalled()
    transport.drain()
    expect(drained).toHaveBeenCalledTimes(1)
    stream.send({ data: 3 })
    await nextTurn()
    expect(drained).toHaveBeenCalledTimes(1)
  })

  it('gives the kernel at most 16 KiB in one write, a larger event alone', async () => {
    const { stream, transport } = fakeStream()
    for (let i = 0; i < 40; i++) stream.send({ data: 'x'.repeat(1000) })
    stream.send({ data: 'y'.repeat(50_000) })
    await nextTurn()
    const sizes = transport.writes.map((write) => write.length)
    expect(sizes.slice(0, -1).every((size) => size <= 16 * 1024)).toBe(true)
    expect(sizes.slice(0, -1).reduce((sum, size) => sum + size)).toBe(40 * 1008)
    expect(sizes.at(-1)).toBe(50_008)
  })

  it('does not take a burst for lag while the kernel takes it', () => {
    const { stream, transport } = fakeStream({ maxBufferedBytes: 100, maxBufferedEvents: 3 })
    for (let i = 0; i < 50; i++) expect(stream.send({ data: 'x'.repeat(i * 5) })).toBe(true)
    expect(stream.closed).toBe(false)
    expect(transport.writes.join('').match(/data: /g)?.length).toBeGreaterThan(45)
  })
})

describe('overflow', () => {
  async function lagging(options: Parameters<typeof fakeStream>[0]) {
    const { stream, transport } = fakeStream(options)
    const drops: number[] = []
    stream.on('drop', (events) => drops.push(events))
    transport.isFull = true
    stream.send({ data: 'first' })
    await nextTurn()
    return { stream, transport, drops }
  }
  const sent = (transport: { writes: string[] }) =>
    [...transport.writes.join('').matchAll(/data: (.*)/g)].map((m) => m[1])

  it('cuts the client off with close, so that it resumes', async () => {
    const { stream, transport, drops } = await lagging({ maxBufferedEvents: 2 })
    const end = closed(stream)
    stream.send({ data: 1 })
    stream.send({ data: 2 })
    expect(stream.send({ data: 3 })).toBe(false)
    expect(stream).toMatchObject({
      closed: true,
      closeReason: 'overflow',
      bufferedEvents: 0,
      bufferedBytes: 0,
    })
    expect(transport.isDestroyed).toBe(true)
    expect(await end).toEqual({ reason: 'overflow', error: undefined })
    expect(drops).toEqual([])
  })

  it.each([
    ['drop-oldest', ['first', '3', '4']],
    ['drop-newest', ['first', '1', '2']],
  ] as const)('holds its bound with %s and tells how many were lost', async (overflow, kept) => {
    const { stream, transport, drops } = await lagging({ maxBufferedEvents: 2, overflow })
    for (const data of [1, 2, 3, 4]) stream.send({ data })
    transport.drain()
    expect(sent(transport)).toEqual(kept)
    expect(drops).toEqual([1, 1])
  })

  it('conflates by key, else by name', async () => {
    const { stream, transport, drops } = await lagging({ maxBufferedEvents: 3, overflow: 'conflate' })
    stream.send({ event: 'price', key: 'BTC', data: 'BTC 1' })
    stream.send({ event: 'price', key: 'ETH', data: 'ETH 1' })
    stream.send({ event: 'status', data: 'up' })
    stream.send({ event: 'price', key: 'BTC', data: 'BTC 2' })
    stream.send({ event: 'status', data: 'down' })
    transport.drain()
    expect(sent(transport)).toEqual(['first', 'ETH 1', 'BTC 2', 'down'])
    expect(drops).toEqual([1, 1])
  })

  it('survives a listener that throws: what it throws is uncaught, the event is sent', async () => {
    const { stream, transport } = await lagging({ maxBufferedEvents: 1, overflow: 'drop-oldest' })
    const uncaught = nextUncaught()
    stream.once('drop', () => {
      throw new Error('listener')
    })
    stream.send({ data: 1 })
    stream.send({ data: 2 })
    await expect(uncaught).resolves.toMatchObject({ message: 'listener' })
    transport.drain()
    expect(sent(transport)).toEqual(['first', '2'])
  })
})

/** The next uncaught exception, kept from the test runner. */
function nextUncaught(): Promise<Error> {
  return new Promise((resolve) => {
    const before = process.listeners('uncaughtException')
    process.removeAllListeners('uncaughtException')
    process.once('uncaughtException', (error) => {
      for (const listener of before) process.on('uncaughtException', listener)
      resolve(error)
    })
  })
}

describe('sendAll', () => {
  it('keeps a line end at the end of a piece, whatever follows it (rule 35)', async () => {
    const { stream, transport } = fakeStream()
    await stream.sendAll(['a\r', 'b', 'c\r', '\nd', 'e\r'])
    await nextTurn()
    expect(parseEvents(transport.writes.join('')).map(({ data }) => data)).toEqual([
      'a',
      '\nb',
      'c',
      '\nd',
      'e',
      '\n',
    ])
  })

  it('keeps a byte order mark inside of what a source yields: it is not the start of the stream', async () => {
    const { stream, transport } = fakeStream()
    await stream.sendAll([Buffer.from('\uFEFFa')])
    await nextTurn()
    expect(transport.writes).toEqual(['data: \uFEFFa\n\n'])
  })

  it('hears nothing of a source that fails when it is closed', async () => {
    const uncaught = vi.fn()
    const listeners = process.listeners('unhandledRejection')
    process.removeAllListeners('unhandledRejection').on('unhandledRejection', uncaught)
    onTestFinished(() => {
      process.removeAllListeners('unhandledRejection')
      for (const listener of listeners) process.on('unhandledRejection', listener)
    })
    const { stream, transport } = fakeStream()
    const whole = stream.sendAll(
      (async function* () {
        try {
          for (;;) {
            await nextTurn()
            yield { data: 1 }
          }
        } finally {
          // biome-ignore lint/correctness/noUnsafeFinally: what a careless source does.
          throw new Error('cursor')
        }
      })(),
    )
    await settled()
    transport.lose()
    expect(await whole).toBe(false)
    await settled()
    expect(uncaught).not.toHaveBeenCalled()
  })
})

describe('drained', () => {
  it('resolves at once when nothing waits', async () => {
    await expect(fakeStream().stream.drained()).resolves.toBe(true)
  })

  it('waits for the flush and for room', async () => {
    const { stream, transport } = fakeStream()
    transport.isFull = true
    stream.send({ data: 1 })
    const drained = vi.fn()
    void stream.drained().then(drained)
    await nextTurn()
    expect(drained).not.toHaveBeenCalled()
    transport.drain()
    await nextTurn()
    expect(drained).toHaveBeenCalledWith(true)
  })

  // @fastify/sse #54: `await send()` was still pending after the client left.
  it.each(['lose', 'close', 'destroy'] as const)('settles with false after %s (rule 27)', async (how) => {
    const { stream, transport } = fakeStream()
    transport.isFull = true
    stream.send({ data: 1 })
    await nextTurn()
    const drained = stream.drained()
    if (how === 'lose') transport.lose()
    else stream[how]()
    await expect(drained).resolves.toBe(false)
  })
})

describe('ending', () => {
  it('closes after what waits', async () => {
    const { stream, transport } = fakeStream()
    const end = closed(stream)
    stream.send({ data: 1 })
    stream.close()
    expect(transport).toMatchObject({ writes: ['data: 1\n\n'], isEnded: true, isDestroyed: false })
    expect(stream).toMatchObject({ closed: true, closeReason: 'server' })
    expect(stream.send({ data: 2 })).toBe(false)
    expect(stream.comment('x')).toBe(false)
    transport.lose()
    expect(await end).toEqual({ reason: 'server', error: undefined })
    await nextTurn()
    expect(transport.writes).toHaveLength(1)
  })

  it('waits for a client that lags before it closes', async () => {
    const { stream, transport } = fakeStream()
    transport.isFull = true
    stream.send({ data: 1 })
    await nextTurn()
    stream.send({ data: 2 })
    stream.close()
    expect(transport.isEnded).toBe(false)
    transport.drain()
    expect(transport).toMatchObject({ writes: ['data: 1\n\n', 'data: 2\n\n'], isEnded: true })
  })

  it('says last when to come back, also over the bound', async () => {
    const { stream, transport } = fakeStream({ maxBufferedEvents: 1 })
    transport.isFull = true
    stream.send({ data: 1 })
    await nextTurn()
    stream.send({ data: 2 })
    stream.close({ retry: 5_000 })
    stream.close({ retry: 6_000 })
    expect(stream.closeReason).toBe('server')
    transport.drain()
    expect(transport.writes.join('')).toBe('data: 1\n\ndata: 2\n\nretry: 5000\n')
    expect(transport.isEnded).toBe(true)
  })

  it('refuses a time to come back that is none, and stays open', () => {
    const { stream, transport } = fakeStream()
    expect(() => stream.close({ retry: -1 })).toThrow(code('ERR_SSE_RETRY'))
    expect(stream.closed).toBe(false)
    expect(transport.isEnded).toBe(false)
  })

  it('takes nothing more for a client that lags when it is closed, and says no drain', async () => {
    const { stream, transport } = fakeStream()
    const drained = vi.fn()
    stream.on('drain', drained)
    transport.isFull = true
    stream.send({ data: 1 })
    await nextTurn()
    stream.close()
    stream.send({ data: 'late' })
    stream.comment('late')
    transport.drain()
    expect(transport).toMatchObject({ writes: ['data: 1\n\n'], isEnded: true })
    expect(drained).not.toHaveBeenCalled()
  })

  it('ends after what a drain listener sends, also when that fills the kernel again', async () => {
    const { stream, transport } = fakeStream()
    transport.isFull = true
    stream.send({ data: 1 })
    await nextTurn()
    stream.once('drain', () => {
      transport.isFull = true
      for (let i = 0; i < 3; i++) stream.send({ data: 'x'.repeat(10_000) })
      stream.close()
    })
    transport.drain()
    expect(transport.isEnded).toBe(false)
    transport.drain()
    expect(transport.isEnded).toBe(true)
    expect(transport.writes).toHaveLength(4)
  })

  it('ends when the end of the way out throws', async () => {
    const { stream, transport } = fakeStream()
    const end = closed(stream)
    transport.end = () => {
      throw new Error('wrapped end')
    }
    stream.close()
    expect(await end).toMatchObject({ reason: 'server' })
    expect(transport.isDestroyed).toBe(true)
  })

  it('leaves a connection alone that is over: it may serve the next request', () => {
    const { stream, transport } = fakeStream()
    transport.lose()
    stream.destroy()
    expect(transport.isDestroyed).toBe(false)
  })

  it('cuts the connection with destroy', async () => {
    const { stream, transport } = fakeStream()
    const end = closed(stream)
    const error = new Error('handler')
    stream.send({ data: 1 })
    stream.destroy(error)
    expect(transport).toMatchObject({ isDestroyed: true, isEnded: false, writes: [] })
    expect(await end).toEqual({ reason: 'error', error })
    await nextTurn()
    expect(transport.writes).toEqual([])
  })

  it('cuts a close that takes too long', async () => {
    const { stream, transport } = fakeStream()
    const end = closed(stream)
    transport.isFull = true
    stream.send({ data: 1 })
    await nextTurn()
    stream.send({ data: 2 })
    stream.close()
    stream.destroy(new Error('too slow'))
    expect(transport.isDestroyed).toBe(true)
    expect(await end).toEqual({ reason: 'server', error: undefined })
  })

  it.each([
    ['client', undefined],
    ['error', new Error('the way out broke')],
  ])('ends with the reason %s when the connection is lost', async (reason, error) => {
    const { stream, transport } = fakeStream()
    const end = closed(stream)
    transport.lose(error)
    expect(stream).toMatchObject({ closed: true, closeReason: reason })
    expect(transport.isDestroyed).toBe(error !== undefined)
    expect(await end).toEqual({ reason, error })
  })

  it('says close once, whatever else ends it', async () => {
    const { stream, transport } = fakeStream()
    const onClose = vi.fn()
    stream.on('close', onClose)
    stream.close()
    transport.lose()
    stream.destroy(new Error('late'))
    transport.lose(new Error('later'))
    // A response of Node says both `finish` and `close`.
    transport.lose()
    stream.close()
    await nextTurn()
    expect(onClose).toHaveBeenCalledTimes(1)
    expect(onClose).toHaveBeenCalledWith('server', undefined)
  })

  it('says close after a listener could be added, also for a stream that ended at once', async () => {
    const { stream } = fakeStream()
    stream.destroy()
    const onClose = vi.fn()
    stream.on('close', onClose)
    await nextTurn()
    expect(onClose).toHaveBeenCalledTimes(1)
  })

  it('aborts its signal, before and after it was asked for', () => {
    const { stream, transport } = fakeStream()
    const { signal } = stream
    expect(signal.aborted).toBe(false)
    transport.lose()
    expect(signal).toMatchObject({ aborted: true, reason: { name: 'AbortError' } })
    expect(stream.signal).toBe(signal)
    const other = fakeStream().stream
    other.close()
    expect(other.signal.aborted).toBe(true)
  })

  it('ends when the way out throws', async () => {
    const { stream, transport } = fakeStream()
    const error = new Error('wrapped write')
    transport.write = () => {
      throw error
    }
    const end = closed(stream)
    stream.send({ data: 1 })
    stream.send({ data: 'x'.repeat(20_000) })
    expect(await end).toEqual({ reason: 'error', error })
  })
})

describe('time', () => {
  afterEach(() => {
    vi.useRealTimers()
  })
  function timed(options: Parameters<typeof fakeStream>[0]) {
    vi.useFakeTimers()
    return fakeStream(options)
  }

  it('beats when idle, with one comment line (rule 11)', () => {
    const { transport } = timed({ heartbeat: 10_000 })
    vi.advanceTimersByTime(10_200)
    expect(transport.writes).toEqual([':\n'])
    vi.advanceTimersByTime(50_000)
    expect(transport.writes.length).toBeGreaterThanOrEqual(5)
    expect(transport.writes.length).toBeLessThanOrEqual(7)
  })

  it('does not beat while events flow', async () => {
    const { stream, transport } = timed({ heartbeat: 10_000 })
    for (let i = 0; i < 30; i++) {
      vi.advanceTimersByTime(4_000)
      stream.send({ data: i })
      await nextTurn()
    }
    expect(transport.writes.join('')).not.toContain(':\n')
  })

  it('does not beat when told not to', () => {
    const { transport } = timed({ heartbeat: 0 })
    expect(vi.getTimerCount()).toBe(0)
    vi.advanceTimersByTime(100_000)
    expect(transport.writes).toEqual([])
  })

  it('does not beat into a full kernel', async () => {
    const { stream, transport } = timed({ heartbeat: 1_000, stallTimeout: 0 })
    transport.isFull = true
    stream.send({ data: 1 })
    await nextTurn()
    vi.advanceTimersByTime(20_000)
    expect(transport.writes).toEqual(['data: 1\n\n'])
  })

  it('cuts off a client whose connection takes nothing for the stall time', async () => {
    const { stream, transport } = timed({ stallTimeout: 5_000 })
    transport.isFull = true
    stream.send({ data: 1 })
    await nextTurn()
    vi.advanceTimersByTime(4_900)
    expect(stream.closed).toBe(false)
    vi.advanceTimersByTime(400)
    expect(stream.closeReason).toBe('stalled')
    expect(transport.isDestroyed).toBe(true)
  })

  it.each([0, 60_000])('beats again after a lag, with a stall time of %i (rule 36)', async (stallTimeout) => {
    const { stream, transport } = timed({ heartbeat: 10_000, stallTimeout })
    transport.isFull = true
    stream.send({ data: 1 })
    await nextTurn()
    vi.advanceTimersByTime(1_000)
    transport.drain()
    vi.advanceTimersByTime(10_200)
    expect(transport.writes).toEqual(['data: 1\n\n', ':\n'])
  })

  it('gives the end the whole stall time, however long nothing was sent before', () => {
    const { stream, transport } = timed({ heartbeat: 0, stallTimeout: 5_000, maxDuration: 1_000_000 })
    vi.advanceTimersByTime(60_000)
    stream.close()
    vi.advanceTimersByTime(4_800)
    expect(transport.isDestroyed).toBe(false)
    vi.advanceTimersByTime(500)
    expect(transport.isDestroyed).toBe(true)
  })

  it('never cuts a client that lags when the stall time is off', async () => {
    const { stream, transport } = timed({ stallTimeout: 0 })
    transport.isFull = true
    stream.send({ data: 1 })
    await nextTurn()
    vi.advanceTimersByTime(1_000_000)
    expect(stream.closed).toBe(false)
  })

  it('spreads the beats of streams that were made at the same instant (rule 37)', () => {
    vi.useFakeTimers()
    const transports = Array.from({ length: 50 }, () => fakeStream({ heartbeat: 10_000 }).transport)
    vi.advanceTimersByTime(7_500)
    const early = transports.filter(({ writes }) => writes.length > 0).length
    expect(early).toBeGreaterThan(5)
    expect(early).toBeLessThan(45)
  })

  it('does not take a slow client for a stalled one', async () => {
    const { stream, transport } = timed({ stallTimeout: 5_000 })
    for (let i = 0; i < 10; i++) {
      transport.isFull = true
      stream.send({ data: i })
      await nextTurn()
      vi.advanceTimersByTime(3_000)
      transport.drain()
    }
    vi.advanceTimersByTime(20_000)
    expect(stream.closed).toBe(false)
  })

  it('does not beat after the end, also when the kernel has room again', () => {
    const { stream, transport } = timed({ heartbeat: 1_000, stallTimeout: 0 })
    stream.close()
    transport.drain()
    vi.advanceTimersByTime(10_000)
    expect(transport.writes).toEqual([])
  })

  it('does not take a client for stalled that is slow with one large event', async () => {
    const { stream, transport } = timed({ stallTimeout: 5_000 })
    transport.isFull = true
    stream.send({ data: 'x'.repeat(1_000_000) })
    await nextTurn()
    for (let i = 0; i < 10; i++) {
      vi.advanceTimersByTime(3_000)
      transport.drain({ isFull: true })
    }
    expect(stream.closed).toBe(false)
    vi.advanceTimersByTime(5_400)
    expect(stream.closeReason).toBe('stalled')
  })

  it('cuts off a client that never reads the end', () => {
    const { stream, transport } = timed({ stallTimeout: 5_000 })
    stream.close()
    vi.advanceTimersByTime(6_000)
    expect(transport.isDestroyed).toBe(true)
    expect(stream.closeReason).toBe('server')
  })

  it('ends at its maximum age, after what waits', async () => {
    const { stream, transport } = timed({ maxDuration: 60_000 })
    vi.advanceTimersByTime(53_900)
    expect(stream.closed).toBe(false)
    stream.send({ data: 'last' })
    vi.advanceTimersByTime(6_500)
    expect(stream.closeReason).toBe('expired')
    expect(transport.isEnded).toBe(true)
    expect(transport.writes.join('')).toContain('data: last\n\n')
  })

  it('needs no timer after its maximum age, however long the client takes to read the end', () => {
    const { transport } = timed({ maxDuration: 1_000, heartbeat: 0, stallTimeout: 0 })
    expect(vi.getTimerCount()).toBe(1)
    vi.advanceTimersByTime(2_000)
    expect(transport.isEnded).toBe(true)
    expect(vi.getTimerCount()).toBe(0)
  })

  it('leaves no timer behind (rule 33)', () => {
    const { stream, transport } = timed({ heartbeat: 1_000, maxDuration: 5_000 })
    expect(vi.getTimerCount()).toBe(1)
    stream.close()
    transport.lose()
    expect(vi.getTimerCount()).toBe(0)
  })
})

describe('metrics', () => {
  function watch(name: string): unknown[] {
    const messages: unknown[] = []
    const hear = (message: unknown) => messages.push(message)
    subscribe(`spillway:stream:${name}`, hear)
    onTestFinished(() => void unsubscribe(`spillway:stream:${name}`, hear))
    return messages
  }

  it('tells of each stage on its channel', async () => {
    const seen: string[] = []
    const watched: SseStream[] = []
    const watch = (message: unknown, name: string | symbol) => {
      const { stream, ...rest } = message as { stream: SseStream }
      if (!watched.includes(stream)) watched.push(stream)
      seen.push(`${String(name).replace('spillway:stream:', '')} ${Object.keys(rest)}`)
    }
    const names = ['open', 'close', 'overflow', 'drain', 'replay', 'gap'].map(
      (name) => `spillway:stream:${name}`,
    )
    for (const name of names) subscribe(name, watch)
    try {
      const { stream, transport } = fakeStream(
        { maxBufferedEvents: 1, overflow: 'drop-newest', replay: () => 'gap' },
        '7',
      )
      await nextTurn()
      transport.isFull = true
      stream.send({ data: 1 })
      await nextTurn()
      stream.send({ data: 2 })
      stream.send({ data: 3 })
      transport.drain()
      transport.lose()
    } finally {
      for (const name of names) unsubscribe(name, watch)
    }
    expect(seen).toEqual([
      'open ',
      'gap gap',
      'replay events,duration,complete,error',
      'overflow policy,dropped',
      'drain lag',
      'close reason,error,duration,events,bytes',
    ])
    expect(watched).toHaveLength(1)
  })

  it('counts what was sent', async () => {
    const messages = watch('close')
    const { stream, transport } = fakeStream()
    stream.send({ data: 1 })
    stream.send({ data: 2 })
    stream.comment('x')
    await nextTurn()
    stream.send({ data: 'never leaves' })
    transport.lose()
    expect(messages).toMatchObject([{ stream, reason: 'client', error: undefined, events: 2, bytes: 22 }])
  })

  it('tells how long the stream lasted and counts its heartbeats', () => {
    vi.useFakeTimers()
    onTestFinished(() => void vi.useRealTimers())
    const messages = watch('close')
    vi.advanceTimersByTime(50_000)
    const { stream, transport } = fakeStream({ heartbeat: 10_000 })
    vi.advanceTimersByTime(12_300)
    const error = new Error('reset')
    transport.lose(error)
    expect(messages).toMatchObject([{ stream, reason: 'error', error, events: 0, bytes: 2 }])
    const { duration } = messages[0] as { duration: number }
    expect(duration).toBeGreaterThan(12_300 - 2 * TICK)
    expect(duration).toBeLessThanOrEqual(12_300)
  })

  it('tells how long a client was behind, from the first time that its kernel was full', async () => {
    vi.useFakeTimers()
    onTestFinished(() => void vi.useRealTimers())
    const messages = watch('drain')
    const { stream, transport } = fakeStream()
    vi.advanceTimersByTime(1_000)
    transport.isFull = true
    stream.send({ data: 'x'.repeat(20_000) })
    await nextTurn()
    for (let i = 0; i < 2; i++) stream.send({ data: 'x'.repeat(20_000) })
    let room = 2
    const write = transport.write.bind(transport)
    transport.write = (frame) => {
      transport.isFull = room-- > 0
      return write(frame)
    }
    for (let i = 0; i < 3; i++) {
      vi.advanceTimersByTime(2_000)
      transport.drain()
    }
    const [message] = messages as [{ lag: number }]
    expect(messages).toHaveLength(1)
    expect(Math.abs(message.lag - 6_000)).toBeLessThanOrEqual(2 * TICK)
  })

  it('tells nobody of a drain of a client that was lost before the flush', async () => {
    const messages = watch('drain')
    const { stream, transport } = fakeStream({ replay: () => undefined }, '1')
    stream.send({ data: 'behind' })
    for (let tick = 0; tick < 20; tick++) await Promise.resolve()
    transport.lose()
    await nextTurn()
    expect(messages).toEqual([])
    expect(transport.writes).toEqual([])
  })

  it.each([
    ['close', [0]],
    ['drop-oldest', [1, 2]],
    ['drop-newest', [1, 1]],
    ['conflate', [2, 1]],
  ] as const)('tells how many an overflow lost with %s', async (overflow, lost) => {
    const messages = watch('overflow')
    const { stream, transport } = fakeStream({ maxBufferedBytes: 20, overflow })
    transport.isFull = true
    stream.send({ data: 'first' })
    await nextTurn()
    for (const data of [1, 2, 3]) stream.send({ data })
    stream.send({ data: '12345678' })
    expect(messages).toEqual(lost.map((dropped) => ({ stream, policy: overflow, dropped })))
  })
})

describe('types', () => {
  it('checks event and data as pairs', () => {
    const { stream } = fakeStream()
    const typed: SseStream<{ price: { value: number }; halt: string; message: number }> = stream
    const loose: SseStream = typed
    loose.send({ event: 'anything', data: 1 })
    typed.send({ event: 'price', data: { value: 1 }, id: 1 })
    typed.send({ event: 'halt', data: 'now' })
    typed.send({ data: 7 })
    typed.send({ id: '7' })
    // @ts-expect-error the data of another event
    typed.send({ event: 'price', data: 'now' })
    // @ts-expect-error an event that the stream does not have
    typed.send({ event: 'prices', data: { value: 1 } })
    // @ts-expect-error an unnamed event is a message
    typed.send({ data: 'text' })
    // @ts-expect-error no data
    expect(() => typed.send({ event: 'halt' })).toThrow(code('ERR_SSE_DATA'))
  })
})
