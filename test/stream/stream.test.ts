import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { afterEach, describe, expect, it, onTestFinished, vi } from 'vitest'
import { TICK } from '../../src/scheduler/clock.ts'
import type { SseStream } from '../../src/stream/stream.ts'
import { parseEvents } from '../support/parse.ts'
import { closed, fakeStream, nextTurn, settled } from '../support/streams.ts'

const code = (name: string) => expect.objectContaining({ name: 'SseError', code: name })

describe('send', () => {
  it('writes all events of a turn of the event loop in one call', async () => {
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

  it('throws for a comment that is not a string', () => {
    const { stream } = fakeStream()
    expect(() => stream.comment(5 as never)).toThrow(code('ERR_SSE_EVENT'))
  })

  it('throws for an event that cannot be encoded, writes nothing of it and keeps the stream open', async () => {
    const { stream, transport } = fakeStream()
    stream.send({ data: 1 })
    expect(() => stream.send({ event: 'a\nb', data: 2 })).toThrow(code('ERR_SSE_EVENT_NAME'))
    expect(() => stream.send({ data: 3n })).toThrow(code('ERR_SSE_DATA'))
    stream.send({ data: 4 })
    await nextTurn()
    expect(transport.writes).toEqual(['data: 1\n\ndata: 4\n\n'])
    expect(stream.closed).toBe(false)
  })

  it('calls the serialize option of the stream', async () => {
    const { stream, transport } = fakeStream({ serialize: (data) => `<${data}>` })
    stream.send({ data: 1 })
    await nextTurn()
    expect(transport.writes).toEqual(['data: <1>\n\n'])
  })

  it('returns false and queues events while the transport is full, until it drains (rule 27)', async () => {
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

  it('writes nothing while the transport is full, so that events are queued here and not in Node (rule 30)', async () => {
    const { stream, transport } = fakeStream()
    transport.isFull = true
    for (let i = 0; i < 10; i++) stream.send({ data: 'x'.repeat(10_000) })
    await nextTurn()
    expect(transport.writes).toHaveLength(1)
    expect(stream.bufferedEvents).toBe(9)
  })

  it('returns false for the first event of a burst after the transport is full', () => {
    const { stream, transport } = fakeStream({ maxBufferedEvents: 1 })
    transport.isFull = true
    expect(stream.send({ data: 1 })).toBe(true)
    expect(stream.send({ data: 2 })).toBe(false)
    expect(transport.writes).toEqual(['data: 1\n\n'])
    transport.drain()
    expect(transport.writes).toEqual(['data: 1\n\n', 'data: 2\n\n'])
  })

  it('is followed by one drain event when a slow client has read all queued events', async () => {
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

  it('writes at most 16 KiB in one call, and a larger event alone', async () => {
    const { stream, transport } = fakeStream()
    for (let i = 0; i < 40; i++) stream.send({ data: 'x'.repeat(1000) })
    stream.send({ data: 'y'.repeat(50_000) })
    await nextTurn()
    const sizes = transport.writes.map((write) => write.length)
    expect(sizes.slice(0, -1).every((size) => size <= 16 * 1024)).toBe(true)
    expect(sizes.slice(0, -1).reduce((sum, size) => sum + size)).toBe(40 * 1008)
    expect(sizes.at(-1)).toBe(50_008)
  })

  it('causes no overflow with a burst while the transport is not full', () => {
    const { stream, transport } = fakeStream({ maxBufferedBytes: 100, maxBufferedEvents: 3 })
    for (let i = 0; i < 50; i++) expect(stream.send({ data: 'x'.repeat(i * 5) })).toBe(true)
    expect(stream.closed).toBe(false)
    expect(transport.writes.join('').match(/data: /g)?.length).toBeGreaterThan(45)
  })
})

describe('an overflow', () => {
  async function slowStream(options: Parameters<typeof fakeStream>[0]) {
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

  it('destroys the stream with overflow close, so that the client resumes', async () => {
    const { stream, transport, drops } = await slowStream({ maxBufferedEvents: 2 })
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
  ] as const)('drops events over the limit with overflow %s', async (overflow, kept) => {
    const { stream, transport, drops } = await slowStream({ maxBufferedEvents: 2, overflow })
    for (const data of [1, 2, 3, 4]) stream.send({ data })
    transport.drain()
    await nextTurn()
    expect(sent(transport)).toEqual(kept)
    expect(drops).toEqual([2])
  })

  it('counts the rest of a large event that is being written', async () => {
    const { stream, transport } = fakeStream({ maxBufferedBytes: 300_000 })
    transport.isFull = true
    stream.send({ data: 'x'.repeat(290_000) })
    await nextTurn()
    const rest = 290_000 + 'data: \n\n'.length - 64 * 1024
    expect(stream).toMatchObject({ bufferedEvents: 0, bufferedBytes: rest })
    stream.send({ data: 'y'.repeat(50_000) })
    expect(stream.closed).toBe(false)
    stream.send({ data: 'z'.repeat(50_000) })
    expect(stream).toMatchObject({ closeReason: 'overflow', bufferedBytes: 0 })
  })

  it('of an event larger than the limit leaves half of it to the events after it', async () => {
    const { stream, transport } = fakeStream({ maxBufferedBytes: 100_000 })
    transport.isFull = true
    stream.send({ data: 'x'.repeat(300_000) })
    await nextTurn()
    expect(stream.bufferedBytes).toBeGreaterThan(200_000)
    stream.send({ data: 'y'.repeat(49_000) })
    expect(stream.closed).toBe(false)
    transport.drain()
    await nextTurn()
    expect(sent(transport).at(-1)).toBe('y'.repeat(49_000))

    transport.isFull = true
    stream.send({ data: 'x'.repeat(300_000) })
    await nextTurn()
    stream.send({ data: 'y'.repeat(51_000) })
    expect(stream.closeReason).toBe('overflow')
  })

  it('of events sent live does not count the rest of a large event of a replay', async () => {
    const replay = () => [{ id: '1', data: 'x'.repeat(300_000) }]
    const { stream, transport } = fakeStream({ maxBufferedBytes: 1_000, replay }, '0')
    transport.isFull = true
    await settled()
    stream.send({ data: 'live' })
    expect(stream).toMatchObject({ closed: false, bufferedEvents: 1 })
    expect(stream.bufferedBytes).toBeGreaterThan(200_000)
    transport.drain()
    await settled()
    expect(sent(transport).at(-1)).toBe('live')
  })

  it('conflates by key, or by event name, with overflow conflate', async () => {
    const { stream, transport, drops } = await slowStream({ maxBufferedEvents: 3, overflow: 'conflate' })
    stream.send({ event: 'price', key: 'BTC', data: 'BTC 1' })
    stream.send({ event: 'price', key: 'ETH', data: 'ETH 1' })
    stream.send({ event: 'status', data: 'up' })
    stream.send({ event: 'price', key: 'BTC', data: 'BTC 2' })
    stream.send({ event: 'status', data: 'down' })
    transport.drain()
    await nextTurn()
    expect(sent(transport)).toEqual(['first', 'ETH 1', 'BTC 2', 'down'])
    expect(drops).toEqual([2])
  })
})

describe('sendAll', () => {
  it('keeps a line end at the end of a chunk, whatever follows it (rule 35)', async () => {
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

  it('keeps a byte order mark at the start of a source, because it is not at the start of the stream', async () => {
    const { stream, transport } = fakeStream()
    await stream.sendAll([Buffer.from('\uFEFFa')])
    await nextTurn()
    expect(transport.writes).toEqual(['data: \uFEFFa\n\n'])
  })

  it('sends the events of several sources at the pace of the client, none above the limit', async () => {
    const { stream, transport } = fakeStream({ maxBufferedEvents: 1 })
    transport.isFull = true
    stream.send({ data: 'first' })
    await nextTurn()
    const all = ['a', 'b', 'c', 'd'].map((data) => stream.sendAll([{ data }]))
    for (let drains = 0; drains < 5; drains++) {
      transport.drain({ isFull: true })
      await settled()
    }
    expect(stream.closeReason).toBeUndefined()
    expect(await Promise.all(all)).toEqual([true, true, true, true])
    expect(transport.writes.join('')).toBe('data: first\n\ndata: a\n\ndata: b\n\ndata: c\n\ndata: d\n\n')
  })

  it('ignores the error of a source that throws while it is closed', async () => {
    const uncaught = vi.fn()
    const listeners = process.listeners('unhandledRejection')
    process.removeAllListeners('unhandledRejection').on('unhandledRejection', uncaught)
    onTestFinished(() => {
      process.removeAllListeners('unhandledRejection')
      for (const listener of listeners) process.on('unhandledRejection', listener)
    })
    const { stream, transport } = fakeStream()
    const all = stream.sendAll(
      (async function* () {
        try {
          for (;;) {
            await nextTurn()
            yield { data: 1 }
          }
        } finally {
          // biome-ignore lint/correctness/noUnsafeFinally: the source under test throws while it is closed.
          throw new Error('cursor')
        }
      })(),
    )
    await settled()
    transport.lose()
    expect(await all).toBe(false)
    await settled()
    expect(uncaught).not.toHaveBeenCalled()
  })
})

describe('drained', () => {
  it('resolves immediately when no events are queued', async () => {
    await expect(fakeStream().stream.drained()).resolves.toBe(true)
  })

  it('resolves when all events are written and the transport has drained', async () => {
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

  // @fastify/sse #54: `await send()` was still pending after the client had disconnected.
  it.each(['lose', 'close', 'destroy'] as const)('resolves with false after %s (rule 27)', async (how) => {
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

describe('a stream that closes', () => {
  it('ends after the queued events with close()', async () => {
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

  it('ends after a slow client has received the queued events with close()', async () => {
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

  it('ends after the reconnection time of close(), even if the queue is full', async () => {
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

  it('stays open when close() throws for an invalid reconnection time', () => {
    const { stream, transport } = fakeStream()
    expect(() => stream.close({ retry: -1 })).toThrow(code('ERR_SSE_RETRY'))
    expect(stream.closed).toBe(false)
    expect(transport.isEnded).toBe(false)
  })

  it('emits no drain and ignores events that are sent after close()', async () => {
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

  it('ends after the events of a drain listener, even if they fill the transport again', async () => {
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

  it('emits close when end() of the transport throws', async () => {
    const { stream, transport } = fakeStream()
    const end = closed(stream)
    transport.end = () => {
      throw new Error('wrapped end')
    }
    stream.close()
    expect(await end).toMatchObject({ reason: 'server' })
    expect(transport.isDestroyed).toBe(true)
  })

  it('does not destroy a closed connection, which may serve the next request', () => {
    const { stream, transport } = fakeStream()
    transport.lose()
    stream.destroy()
    expect(transport.isDestroyed).toBe(false)
  })

  it('cuts the connection without sending the queued events with destroy()', async () => {
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

  it.each([undefined, null])(
    'has the close reason server after destroy(%s), as a callback of Node.js',
    async (none) => {
      const { stream } = fakeStream()
      const end = closed(stream)
      stream.destroy(none)
      expect(await end).toEqual({ reason: 'server', error: undefined })
    },
  )

  it.each([false, 0, ''])('has the close reason error after destroy(%j)', async (error) => {
    const { stream } = fakeStream()
    const end = closed(stream)
    stream.destroy(error)
    expect(await end).toEqual({ reason: 'error', error })
  })

  it('cuts the connection when destroy() is called after close()', async () => {
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
    ['error', new Error('the transport failed')],
  ])('has the close reason %s when the connection is lost', async (reason, error) => {
    const { stream, transport } = fakeStream()
    const end = closed(stream)
    transport.lose(error)
    expect(stream).toMatchObject({ closed: true, closeReason: reason })
    expect(transport.isDestroyed).toBe(error !== undefined)
    expect(await end).toEqual({ reason, error })
  })

  it('emits close once for several causes', async () => {
    const { stream, transport } = fakeStream()
    const onClose = vi.fn()
    stream.on('close', onClose)
    stream.close()
    transport.lose()
    stream.destroy(new Error('late'))
    transport.lose(new Error('later'))
    // A response of Node emits both `finish` and `close`.
    transport.lose()
    stream.close()
    await nextTurn()
    expect(onClose).toHaveBeenCalledTimes(1)
    expect(onClose).toHaveBeenCalledWith('server', undefined)
  })

  it('emits close after the present call, so that listeners can be added', async () => {
    const { stream } = fakeStream()
    stream.destroy()
    const onClose = vi.fn()
    stream.on('close', onClose)
    await nextTurn()
    expect(onClose).toHaveBeenCalledTimes(1)
  })

  it('aborts its signal, whether it was read before or is read later', () => {
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

  it('closes with the error that write() of the transport throws', async () => {
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

describe('a stream over time', () => {
  afterEach(() => {
    vi.useRealTimers()
  })
  function timedStream(options: Parameters<typeof fakeStream>[0]) {
    vi.useFakeTimers()
    return fakeStream(options)
  }

  it('sends one comment line as a heartbeat while it is idle (rule 11)', () => {
    const { transport } = timedStream({ heartbeat: 10_000 })
    vi.advanceTimersByTime(10_200)
    expect(transport.writes).toEqual([':\n'])
    vi.advanceTimersByTime(50_000)
    expect(transport.writes.length).toBeGreaterThanOrEqual(5)
    expect(transport.writes.length).toBeLessThanOrEqual(7)
  })

  it('sends no heartbeat while it sends events', async () => {
    const { stream, transport } = timedStream({ heartbeat: 10_000 })
    for (let i = 0; i < 30; i++) {
      vi.advanceTimersByTime(4_000)
      stream.send({ data: i })
      await nextTurn()
    }
    expect(transport.writes.join('')).not.toContain(':\n')
  })

  it('sends no heartbeat with heartbeat 0', () => {
    const { transport } = timedStream({ heartbeat: 0 })
    expect(vi.getTimerCount()).toBe(0)
    vi.advanceTimersByTime(100_000)
    expect(transport.writes).toEqual([])
  })

  it('sends no heartbeat while the transport is full', async () => {
    const { stream, transport } = timedStream({ heartbeat: 1_000, stallTimeout: 0 })
    transport.isFull = true
    stream.send({ data: 1 })
    await nextTurn()
    vi.advanceTimersByTime(20_000)
    expect(transport.writes).toEqual(['data: 1\n\n'])
  })

  it('disconnects a client when nothing could be written for stallTimeout', async () => {
    const { stream, transport } = timedStream({ stallTimeout: 5_000 })
    transport.isFull = true
    stream.send({ data: 1 })
    await nextTurn()
    vi.advanceTimersByTime(4_900)
    expect(stream.closed).toBe(false)
    vi.advanceTimersByTime(400)
    expect(stream.closeReason).toBe('stalled')
    expect(transport.isDestroyed).toBe(true)
  })

  /** Moves the time forward, as work does that blocks the event loop. */
  function block(ms: number) {
    const now = performance.now.bind(performance)
    const blocked = vi.spyOn(performance, 'now').mockImplementation(() => now() + ms)
    onTestFinished(() => blocked.mockRestore())
  }

  it.each([
    ['before', 0],
    ['after', 4_000],
  ])('does not count time in which the event loop was blocked %s the kernel was full', async (_when, lag) => {
    const { stream, transport } = timedStream({ stallTimeout: 5_000 })
    transport.isFull = true
    if (lag === 0) block(60_000)
    stream.send({ data: 1 })
    await nextTurn()
    vi.advanceTimersByTime(lag)
    if (lag > 0) block(60_000)
    vi.advanceTimersByTime(TICK)
    await nextTurn()
    vi.advanceTimersByTime(4_900 - lag - TICK)
    expect(stream.closed).toBe(false)
    vi.advanceTimersByTime(400)
    expect(stream.closeReason).toBe('stalled')
  })

  it.each([0, 60_000])(
    'sends heartbeats again after the transport has drained, with stallTimeout %i (rule 36)',
    async (stallTimeout) => {
      const { stream, transport } = timedStream({ heartbeat: 10_000, stallTimeout })
      transport.isFull = true
      stream.send({ data: 1 })
      await nextTurn()
      vi.advanceTimersByTime(1_000)
      transport.drain()
      vi.advanceTimersByTime(10_200)
      expect(transport.writes).toEqual(['data: 1\n\n', ':\n'])
    },
  )

  it('waits for the full stallTimeout after close(), even if it was idle before', () => {
    const { stream, transport } = timedStream({ heartbeat: 0, stallTimeout: 5_000, maxDuration: 1_000_000 })
    vi.advanceTimersByTime(60_000)
    stream.close()
    vi.advanceTimersByTime(4_800)
    expect(transport.isDestroyed).toBe(false)
    vi.advanceTimersByTime(500)
    expect(transport.isDestroyed).toBe(true)
  })

  it('never disconnects a slow client with stallTimeout 0', async () => {
    const { stream, transport } = timedStream({ stallTimeout: 0 })
    transport.isFull = true
    stream.send({ data: 1 })
    await nextTurn()
    vi.advanceTimersByTime(1_000_000)
    expect(stream.closed).toBe(false)
  })

  it('spreads the heartbeats of streams that were opened at the same time (rule 37)', () => {
    vi.useFakeTimers()
    const transports = Array.from({ length: 50 }, () => fakeStream({ heartbeat: 10_000 }).transport)
    vi.advanceTimersByTime(7_500)
    const early = transports.filter(({ writes }) => writes.length > 0).length
    expect(early).toBeGreaterThan(5)
    expect(early).toBeLessThan(45)
  })

  it('does not disconnect a client that reads slowly', async () => {
    const { stream, transport } = timedStream({ stallTimeout: 5_000 })
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

  it('sends no heartbeat after its end, even if the transport drains', () => {
    const { stream, transport } = timedStream({ heartbeat: 1_000, stallTimeout: 0 })
    stream.close()
    transport.drain()
    vi.advanceTimersByTime(10_000)
    expect(transport.writes).toEqual([])
  })

  it('does not disconnect a client that reads one large event slowly', async () => {
    const { stream, transport } = timedStream({ stallTimeout: 5_000 })
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

  it('destroys the connection of a client that does not read the end', () => {
    const { stream, transport } = timedStream({ stallTimeout: 5_000 })
    stream.close()
    vi.advanceTimersByTime(6_000)
    expect(transport.isDestroyed).toBe(true)
    expect(stream.closeReason).toBe('server')
  })

  it('ends at maxDuration after the queued events', async () => {
    const { stream, transport } = timedStream({ maxDuration: 60_000 })
    vi.advanceTimersByTime(53_900)
    expect(stream.closed).toBe(false)
    stream.send({ data: 'last' })
    vi.advanceTimersByTime(6_500)
    expect(stream.closeReason).toBe('expired')
    expect(transport.isEnded).toBe(true)
    expect(transport.writes.join('')).toContain('data: last\n\n')
  })

  it('runs no timer after maxDuration, even if the client has not read the end', () => {
    const { transport } = timedStream({ maxDuration: 1_000, heartbeat: 0, stallTimeout: 0 })
    expect(vi.getTimerCount()).toBe(1)
    vi.advanceTimersByTime(2_000)
    expect(transport.isEnded).toBe(true)
    expect(vi.getTimerCount()).toBe(0)
  })

  it('runs no timer after its end (rule 33)', () => {
    const { stream, transport } = timedStream({ heartbeat: 1_000, maxDuration: 5_000 })
    expect(vi.getTimerCount()).toBe(1)
    stream.close()
    transport.lose()
    expect(vi.getTimerCount()).toBe(0)
  })
})

describe('diagnostics', () => {
  function watch(name: string): unknown[] {
    const messages: unknown[] = []
    const listener = (message: unknown) => messages.push(message)
    subscribe(`spillway:stream:${name}`, listener)
    onTestFinished(() => void unsubscribe(`spillway:stream:${name}`, listener))
    return messages
  }

  it('are published on one channel per stage of a stream', async () => {
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
      await settled()
      transport.isFull = true
      stream.send({ data: 1 })
      await nextTurn()
      stream.send({ data: 2 })
      stream.send({ data: 3 })
      await nextTurn()
      transport.drain()
      transport.lose()
    } finally {
      for (const name of names) unsubscribe(name, watch)
    }
    expect(seen).toEqual([
      'open ',
      'gap gap',
      'replay events,duration,resumed,complete,error',
      'overflow policy,dropped',
      'drain lag',
      'close reason,error,duration,events,bytes,lag',
    ])
    expect(watched).toHaveLength(1)
  })

  it('count the events and bytes that were sent', async () => {
    const messages = watch('close')
    const { stream, transport } = fakeStream()
    stream.send({ data: 1 })
    stream.send({ data: 2 })
    stream.comment('x')
    await nextTurn()
    stream.send({ data: 'never sent' })
    transport.lose()
    expect(messages).toMatchObject([{ stream, reason: 'client', error: undefined, events: 2, bytes: 22 }])
  })

  it('do not count a reconnection time as an event', async () => {
    const messages = watch('close')
    const { stream } = fakeStream()
    stream.send({ data: 1 })
    stream.send({ retry: 1_000 })
    stream.close({ retry: 2_000 })
    await nextTurn()
    stream.destroy()
    expect(messages).toMatchObject([{ events: 1 }])
  })

  it('contain the duration of the stream and count its heartbeats as bytes', () => {
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

  it('contain the lag of a client since its transport was first full', async () => {
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

  it('contain no drain for a client that disconnects before the flush', async () => {
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
    ['drop-oldest', [3]],
    ['drop-newest', [2]],
    ['conflate', [3]],
  ] as const)('contain the number of events that overflow %s dropped', async (overflow, losses) => {
    const messages = watch('overflow')
    const { stream, transport } = fakeStream({ maxBufferedBytes: 20, overflow })
    transport.isFull = true
    stream.send({ data: 'first' })
    await nextTurn()
    for (const data of [1, 2, 3]) stream.send({ data })
    stream.send({ data: '12345678' })
    await nextTurn()
    expect(messages).toEqual(losses.map((dropped) => ({ stream, policy: overflow, dropped })))
  })
})

describe('the types of a stream', () => {
  it('check event names and data as pairs', () => {
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
