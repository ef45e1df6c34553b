import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import type { SseEvent } from '../../src/event/event.ts'
import type { SseStreamOptions } from '../../src/http/options.ts'
import { Hub } from '../../src/hub/hub.ts'
import { parseEvents } from '../support/parse.ts'
import { deferred } from '../support/serve.ts'
import { closed, fakeStream, nextTurn, settled } from '../support/streams.ts'

const log = Array.from({ length: 5 }, (_, i) => ({ id: i + 1, data: `event ${i + 1}` }))
const after = (id: string) => log.filter((event) => event.id > Number(id))
const read = (transport: { writes: string[] }) =>
  parseEvents(transport.writes.join('')).map((event) => `${event.event ?? ''}${event.id ?? ''} ${event.data}`)

describe('a replay', () => {
  it('sends only the events after the last event id, before live events (rule 25)', async () => {
    const { stream, transport } = fakeStream({ replay: after }, '3')
    stream.send({ id: 6, data: 'live' })
    await settled()
    expect(read(transport)).toEqual(['4 event 4', '5 event 5', '6 live'])
  })

  it('is not started for a client without a last event id', async () => {
    const replay = vi.fn()
    const { transport } = fakeStream({ replay })
    await settled()
    expect(replay).not.toHaveBeenCalled()
    expect(transport.writes).toEqual([])
  })

  it('gets the last event id and the stream as arguments', async () => {
    const replay = vi.fn()
    const { stream } = fakeStream({ replay }, '3')
    expect(replay).toHaveBeenCalledWith('3', stream)
    await settled()
  })

  it('may resolve with undefined if the client missed nothing', async () => {
    const { stream, transport } = fakeStream({ replay: async () => undefined }, '5')
    stream.send({ data: 'live' })
    await settled()
    expect(read(transport)).toEqual([' live'])
  })

  it('delays live events, in order, until an asynchronous source has ended', async () => {
    const { stream, transport } = fakeStream(
      {
        async *replay() {
          for (const event of after('2')) {
            await nextTurn()
            yield event
          }
        },
      },
      '2',
    )
    for (let i = 0; i < 8; i++) {
      stream.send({ data: `live ${i}` })
      await nextTurn()
    }
    await settled()
    const live = Array.from({ length: 8 }, (_, i) => ` live ${i}`)
    expect(read(transport)).toEqual(['3 event 3', '4 event 4', '5 event 5', ...live])
    expect(stream).toMatchObject({ bufferedEvents: 0, bufferedBytes: 0 })
  })

  it('pauses its source for a slow client and never causes an overflow', async () => {
    let yielded = 0
    const { stream, transport } = fakeStream(
      {
        maxBufferedEvents: 10,
        *replay() {
          for (; yielded < 500; yielded++) yield { id: yielded, data: 'x'.repeat(1000) }
        },
      },
      '0',
    )
    transport.isFull = true
    await settled()
    const ahead = yielded
    expect(ahead).toBeLessThan(50)
    await settled()
    expect(yielded).toBe(ahead)
    for (let i = 0; i < 500 && yielded < 500; i++) {
      transport.drain()
      transport.isFull = true
      await nextTurn()
    }
    transport.drain()
    await settled()
    expect(read(transport)).toHaveLength(500)
    expect(stream.closed).toBe(false)
  })

  it('causes an overflow when too many live events are queued behind it', async () => {
    const { stream } = fakeStream({ maxBufferedEvents: 3, replay: () => new Promise(() => {}) }, '0')
    for (let i = 0; i < 4; i++) stream.send({ data: i })
    expect(stream.closeReason).toBe('overflow')
  })

  it('counts the live events queued behind it as buffered', async () => {
    const { stream } = fakeStream({ replay: () => new Promise(() => {}) }, '0')
    stream.send({ data: 1 })
    expect(stream).toMatchObject({ bufferedEvents: 1, bufferedBytes: 9 })
    const drained = vi.fn()
    void stream.drained().then(drained)
    await settled()
    expect(drained).not.toHaveBeenCalled()
  })

  it('ends the stream after maxReplayEvents, so that the client resumes after them', async () => {
    const { stream, transport } = fakeStream({ replay: after, maxReplayEvents: 2 }, '0')
    const end = closed(stream)
    stream.send({ data: 'live' })
    await settled()
    expect(read(transport)).toEqual(['1 event 1', '2 event 2'])
    expect(transport.isEnded).toBe(true)
    transport.lose()
    expect(await end).toMatchObject({ reason: 'replay', error: { code: 'ERR_SSE_REPLAY_LIMIT' } })
  })

  it('does not end the stream after exactly maxReplayEvents', async () => {
    const { stream, transport } = fakeStream({ replay: after, maxReplayEvents: 5 }, '0')
    await settled()
    expect(read(transport)).toHaveLength(5)
    expect(stream.closed).toBe(false)
  })

  it.each<[string, SseStreamOptions['replay']]>([
    [
      'throws',
      () => {
        throw new Error('database')
      },
    ],
    ['rejects', () => Promise.reject(new Error('database'))],
    [
      'throws after an event',
      async function* () {
        yield { id: 1, data: 'event 1' }
        throw new Error('database')
      },
    ],
  ])('ends the stream without sending live events when its source %s', async (_name, replay) => {
    const { stream, transport } = fakeStream({ replay }, '0')
    const end = closed(stream)
    stream.send({ data: 'live' })
    await settled()
    expect(transport.isEnded).toBe(true)
    expect(transport.writes.join('')).not.toContain('live')
    transport.lose()
    expect(await end).toMatchObject({ reason: 'replay', error: { message: 'database' } })
  })

  it('is sent before close() ends the response, together with the live events behind it', async () => {
    const { stream, transport } = fakeStream({ replay: after }, '3')
    stream.send({ data: 'live' })
    stream.close()
    await settled()
    expect(read(transport)).toEqual(['4 event 4', '5 event 5', ' live'])
    expect(transport.isEnded).toBe(true)
  })

  it('is sent before the reconnection time of close()', async () => {
    const { stream, transport } = fakeStream({ replay: after }, '4')
    stream.send({ data: 'live' })
    stream.close({ retry: 5_000 })
    await settled()
    expect(transport.writes.join('')).toMatch(/^id: 5\ndata: event 5\n\ndata: live\n\nretry: 5000\n$/)
  })

  it('conflates the events of a conflated channel that are queued behind it', async () => {
    const hub = new Hub({ positions: false })
    const prices = hub.channel('prices', { conflate: true })
    const source = deferred<undefined>()
    const { stream, transport } = fakeStream({ replay: () => source.promise }, '0')
    prices.subscribe(stream)
    await settled()
    for (let i = 0; i < 5; i++) await prices.publish({ key: 'BTC', data: `BTC ${i}` })
    await settled()
    expect(stream.bufferedEvents).toBe(1)
    source.resolve(undefined)
    await settled()
    expect(parseEvents(transport.writes.join('')).map(({ data }) => data)).toEqual(['BTC 4'])
  })

  it('closes its source when the client disconnects', async () => {
    let isClosed = false
    const { transport } = fakeStream(
      {
        async *replay() {
          try {
            for (;;) {
              await nextTurn()
              yield { data: 1 }
            }
          } finally {
            isClosed = true
          }
        },
      },
      '0',
    )
    await settled()
    transport.lose()
    await settled()
    expect(isClosed).toBe(true)
  })

  it.each(['never yields', 'never ends'])(
    'closes a source that %s and is provided after the client has disconnected (rule 34)',
    async (which) => {
      let isClosed = false
      let read = 0
      const events: AsyncIterable<SseEvent> & AsyncIterator<SseEvent> = {
        [Symbol.asyncIterator]: () => events,
        next: () => {
          read += 1
          return which === 'never yields'
            ? new Promise(() => {})
            : Promise.resolve({ done: false, value: { data: read } })
        },
        return: async () => {
          isClosed = true
          return { done: true, value: undefined }
        },
      }
      const source = deferred<typeof events>()
      const { stream, transport } = fakeStream({ replay: () => source.promise }, '0')
      stream.send({ data: 'live' })
      transport.lose()
      expect(stream).toMatchObject({ bufferedEvents: 0, bufferedBytes: 0 })
      source.resolve(events)
      await settled()
      expect(isClosed).toBe(true)
      expect(read).toBe(0)
    },
  )

  it('queues and drops nothing when the client disconnects while an event waits for room', async () => {
    const replay = () => ['x', 'y'].map((text) => ({ data: text.repeat(20_000) }))
    const options = { maxBufferedBytes: 10_000, overflow: 'drop-newest' } as const
    const clients = [fakeStream({ replay }, '0'), fakeStream({ ...options, replay }, '0')]
    const drops = vi.fn()
    for (const { stream, transport } of clients) {
      stream.on('drop', drops)
      transport.isFull = true
    }
    await settled()
    for (const { transport } of clients) transport.lose()
    await settled()
    for (const { stream } of clients) expect(stream).toMatchObject({ bufferedEvents: 0, bufferedBytes: 0 })
    expect(drops).not.toHaveBeenCalled()
  })

  it('does not call onGap when the client has disconnected', async () => {
    const onGap = vi.fn()
    const { transport } = fakeStream({ replay: async () => 'gap' as const, onGap }, '0')
    transport.lose()
    await settled()
    expect(onGap).not.toHaveBeenCalled()
  })

  it('drops live events over the limit by the overflow policy and emits drop', async () => {
    const source = deferred<undefined>()
    const { stream, transport } = fakeStream(
      { maxBufferedEvents: 2, overflow: 'drop-oldest', replay: () => source.promise },
      '0',
    )
    const drops = vi.fn()
    stream.on('drop', drops)
    expect([1, 2, 3].map((data) => stream.send({ data }))).toEqual([false, false, false])
    await nextTurn()
    expect(drops).toHaveBeenCalledExactlyOnceWith(1)
    const drained = vi.fn()
    stream.on('drain', drained)
    source.resolve(undefined)
    await settled()
    expect(read(transport)).toEqual([' 2', ' 3'])
    expect(drained).toHaveBeenCalledTimes(1)
  })

  it('is followed by drain if the only live event was dropped, because send returned false', async () => {
    const source = deferred<undefined>()
    const options = { maxBufferedBytes: 100, overflow: 'drop-newest', replay: () => source.promise } as const
    const { stream } = fakeStream(options, '0')
    const drained = vi.fn()
    stream.on('drain', drained)
    expect(stream.send({ data: 'x'.repeat(200) })).toBe(false)
    source.resolve(undefined)
    await settled()
    expect(drained).toHaveBeenCalledTimes(1)
  })

  it('does not close a stream whose sender waits for room', async () => {
    const source = deferred<undefined>()
    const { stream, transport } = fakeStream({ maxBufferedEvents: 1, replay: () => source.promise }, '0')
    const sender = (async () => {
      for (let i = 1; i <= 3; i++) if (!stream.send({ data: i })) await stream.drained()
    })()
    await settled()
    expect(read(transport)).toEqual([])
    source.resolve(undefined)
    await sender
    await settled()
    expect(stream.closed).toBe(false)
    expect(read(transport)).toEqual([' 1', ' 2', ' 3'])
  })

  it('emits no drain while it holds back live events, although a slow client has read it so far', async () => {
    const last = deferred<void>()
    async function* replay() {
      yield { data: 'first' }
      await last.promise
      yield { data: 'last' }
    }
    const { stream, transport } = fakeStream({ replay }, '0')
    const drained = vi.fn()
    stream.on('drain', drained)
    transport.isFull = true
    stream.send({ data: 'live' })
    await settled()
    transport.drain()
    expect(read(transport)).toEqual([' first'])
    expect(drained).not.toHaveBeenCalled()
    last.resolve()
    await settled()
    expect(read(transport)).toEqual([' first', ' last', ' live'])
    expect(drained).toHaveBeenCalledTimes(1)
  })

  it('emits drain after an event that is sent over the bound, so that a listener sends after it', async () => {
    const source = deferred<undefined>()
    const { stream, transport } = fakeStream({ maxBufferedEvents: 1, replay: () => source.promise }, '0')
    stream.once('drain', () => stream.send({ data: 'listener' }))
    stream.send({ data: 'first' })
    source.resolve(undefined)
    // The replay ends in this turn, and its events are written at the end of the turn.
    for (let tick = 0; tick < 20; tick++) await null
    stream.send({ data: 'second' })
    await settled()
    expect(read(transport)).toEqual([' first', ' second', ' listener'])
  })

  it('emits no drain when no live events were queued behind it', async () => {
    const { stream, transport } = fakeStream({ replay: after }, '3')
    const drained = vi.fn()
    stream.on('drain', drained)
    await settled()
    expect(read(transport)).toHaveLength(2)
    expect(drained).not.toHaveBeenCalled()
  })

  it('publishes its diagnostics message when the client disconnects during a close', async () => {
    const messages: unknown[] = []
    const listener = (message: unknown) => messages.push(message)
    subscribe('spillway:stream:replay', listener)
    onTestFinished(() => void unsubscribe('spillway:stream:replay', listener))
    const { stream, transport } = fakeStream({ replay: after }, '3')
    transport.isFull = true
    await settled()
    stream.close()
    await settled()
    expect(messages).toEqual([])
    transport.lose()
    await settled()
    expect(messages).toMatchObject([{ stream, complete: false, error: undefined }])
  })

  it('replaces the replay of a hub', async () => {
    const hub = new Hub()
    const channel = hub.channel('prices')
    const { stream, transport } = fakeStream({ replay: after }, '4')
    channel.subscribe(stream)
    await settled()
    await channel.publish({ data: 'live' })
    await settled()
    const events = parseEvents(transport.writes.join(''))
    expect(events.map(({ event, data }) => [event, data])).toEqual([
      [undefined, 'event 5'],
      [undefined, 'live'],
    ])
  })

  it('lets other tasks run between the items of a synchronous source', async () => {
    let yielded = 0
    function* endless() {
      for (;;) yield { id: yielded++, data: '' }
    }
    const { stream } = fakeStream({ replay: endless, maxReplayEvents: 10_000_000 }, '0')
    await settled()
    stream.destroy()
    expect(yielded).toBeLessThan(100_000)
  })

  it('is stopped at maxDuration, and no live events are sent after it', async () => {
    vi.useFakeTimers()
    try {
      const { stream, transport } = fakeStream(
        { maxDuration: 1000, heartbeat: 0, replay: () => new Promise(() => {}) },
        '0',
      )
      stream.send({ data: 'live' })
      vi.advanceTimersByTime(2000)
      await settled()
      expect(stream).toMatchObject({ closeReason: 'expired', bufferedEvents: 0, bufferedBytes: 0 })
      expect(transport).toMatchObject({ isEnded: true, writes: [] })
    } finally {
      vi.useRealTimers()
    }
  })

  it('closes a source at maxDuration that has not yielded yet (rule 34)', async () => {
    vi.useFakeTimers()
    try {
      const source = deferred<void>()
      let isClosed = false
      const { stream, transport } = fakeStream(
        {
          maxDuration: 1000,
          heartbeat: 0,
          async *replay() {
            try {
              await source.promise
              yield { data: 'late' }
              yield { data: 'later' }
            } finally {
              isClosed = true
            }
          },
        },
        '0',
      )
      const end = closed(stream)
      await settled()
      vi.advanceTimersByTime(2000)
      expect(stream.closeReason).toBe('expired')
      source.resolve()
      await settled()
      expect(isClosed).toBe(true)
      expect(transport).toMatchObject({ isEnded: true, writes: [] })
      const ended = vi.spyOn(transport, 'end')
      transport.drain()
      expect(ended).not.toHaveBeenCalled()
      transport.lose()
      expect(await end).toEqual({ reason: 'expired', error: undefined })
    } finally {
      vi.useRealTimers()
    }
  })
})

describe('a gap', () => {
  it('is sent as an event before any live event', async () => {
    const { stream, transport } = fakeStream({ replay: () => 'gap' }, '9-unknown')
    stream.send({ data: 'live' })
    await settled()
    expect(read(transport)).toEqual(['gap {"reason":"unknown"}', ' live'])
  })

  it('is sent for an unreadable last event id without calling replay (rule 22)', async () => {
    const replay = vi.fn()
    const { transport } = fakeStream({ replay }, null)
    await settled()
    expect(read(transport)).toEqual(['gap {"reason":"unreadable"}'])
    expect(replay).not.toHaveBeenCalled()
  })

  it('has the event name of gapEvent and is not sent with gapEvent false', async () => {
    const named = fakeStream({ replay: () => 'gap', gapEvent: 'resync' }, '9')
    const silent = fakeStream({ replay: () => 'gap', gapEvent: false }, '9')
    await settled()
    expect(read(named.transport)).toEqual(['resync {"reason":"unknown"}'])
    expect(silent.transport.writes).toEqual([])
  })

  it('calls onGap, whose snapshot is sent instead of the gap event before live events', async () => {
    const onGap = vi.fn(async () => {
      await nextTurn()
      return [{ event: 'snapshot', data: 'all' }]
    })
    const { stream, transport } = fakeStream({ replay: () => 'gap', onGap }, '9')
    stream.send({ data: 'live' })
    await settled()
    expect(onGap).toHaveBeenCalledWith({ lastEventId: '9', reason: 'unknown' }, stream)
    expect(read(transport)).toEqual(['snapshot all', ' live'])
  })

  it('sends a snapshot of more than maxReplayEvents', async () => {
    const { stream, transport } = fakeStream(
      { replay: () => 'gap', onGap: () => log, maxReplayEvents: 2 },
      '9',
    )
    await settled()
    expect(read(transport)).toHaveLength(log.length)
    expect(stream.closed).toBe(false)
  })

  it('is sent as an event when onGap returns nothing', async () => {
    const { transport } = fakeStream({ replay: () => 'gap', onGap: () => {} }, '9')
    await settled()
    expect(read(transport)).toEqual(['gap {"reason":"unknown"}'])
  })

  it('ends the stream when onGap fails', async () => {
    const onGap = () => Promise.reject(new Error('snapshot'))
    const { stream, transport } = fakeStream({ replay: () => 'gap', onGap }, '9')
    await settled()
    expect(stream.closeReason).toBe('replay')
    expect(transport.isEnded).toBe(true)
  })

  it('ends the stream when onGap fails, even if the snapshot of a hub is pending', async () => {
    const onGap = () => Promise.reject(new Error('snapshot'))
    const { stream, transport } = fakeStream({ replay: () => 'gap', onGap }, '9')
    new Hub().subscribe(stream, 'a', { snapshot: () => new Promise(() => {}) })
    await settled()
    expect(stream.closeReason).toBe('replay')
    expect(transport.isEnded).toBe(true)
  })
})
