import { describe, expect, it, onTestFinished, vi } from 'vitest'
import type { SseStreamOptions } from '../../src/http/options.ts'
import { Hub } from '../../src/hub/hub.ts'
import type { Page, StoreReader } from '../../src/stores/event-store.ts'
import { MemoryStore } from '../../src/stores/memory/memory-store.ts'
import { watch } from '../support/diagnostics.ts'
import { drainAll, eventsOf, GAP, publishNumbers, subscribed } from '../support/hub.ts'
import { deferred } from '../support/serve.ts'
import { fakeStream, nextTurn, settled } from '../support/streams.ts'

const READ_AHEAD = 16 * 1024
const EVENT = 1_000

/** A hub on a memory store, of which each read is recorded. */
async function recordingHub(events = 100) {
  const store = new MemoryStore({ maxEvents: 200 })
  const hub = new Hub({ store })
  const start = await publishNumbers(hub, events, { size: EVENT })
  const rooms: number[] = []
  const read = store.read.bind(store)
  Object.assign(store, {
    read: (channels: readonly string[], after: string, limit: number, reader: StoreReader) => {
      rooms.push(reader.room)
      return read(channels, after, limit)
    },
  })
  return { store, hub, start, rooms }
}

/** A hub whose reads return a page only when a test resolves it. */
async function pendingHub() {
  const store = new MemoryStore()
  const hub = new Hub({ store })
  const start = await publishNumbers(hub, 3)
  const page = deferred<Page>()
  const readers = new Set<StoreReader>()
  const read = vi.fn((_channels: readonly string[], _after: string, _limit: number, reader?: StoreReader) => {
    readers.add(reader as StoreReader)
    return page.promise
  })
  Object.assign(store, { read })
  const signalOf = () => ([...readers][0] as StoreReader).signal
  return { store, hub, start, page, read, readers, signalOf }
}

describe('a replay', () => {
  it('holds no page while its client does not read', async () => {
    const { hub, start } = await recordingHub()
    const { stream, transport } = await subscribedFull(hub, start)
    expect(stream.bufferedBytes).toBeGreaterThan(0)
    expect(stream.bufferedBytes).toBeLessThan(READ_AHEAD + 2 * EVENT)

    // Evicts everything that the client has not been sent.
    await publishNumbers(hub, 300, { size: EVENT })
    await drainAll(transport)

    const events = eventsOf(transport)
    expect(events.length).toBeLessThan(30)
    expect(events.at(-1)).toBe(GAP)
  })

  it('reads a page only when the queue has room, and states how much', async () => {
    const { hub, start, rooms } = await recordingHub()
    const { stream, transport } = await subscribedFull(hub, start)
    const before = rooms.length
    await settled()
    expect(rooms).toHaveLength(before)
    expect(rooms.every((room) => room > 0 && room <= READ_AHEAD)).toBe(true)

    transport.drain()
    for (let i = 0; i < 30; i++) await settled()
    expect(eventsOf(transport)).toHaveLength(100)
    expect(stream.bufferedEvents).toBe(0)
  })

  it('sends everything once, in order, although the store returns more than there is room for', async () => {
    const { hub, start } = await recordingHub(150)
    const { stream, transport } = fakeStream({ maxBufferedEvents: 7 }, start)
    for (const [turn] of Array(200).entries()) {
      if (turn === 0) hub.subscribe(stream, 'a')
      transport.drain({ isFull: turn % 3 === 0 })
      await settled()
    }
    expect(eventsOf(transport)).toEqual(Array.from({ length: 150 }, (_, i) => `message ${i}`))
  })

  it('passes one reader to all reads, also of a start and of an added channel', async () => {
    const { hub, store, start } = await recordingHub(3)
    const readers: unknown[] = []
    const { read } = store
    Object.assign(store, {
      read: (...args: Parameters<typeof read>) => {
        readers.push((args as unknown[])[3])
        return read.apply(store, args)
      },
    })
    await subscribed(hub, ['a'], {}, start)
    const first = readers.splice(0)
    hub.subscribe(fakeStream().stream, 'a', { from: start })
    await settled()
    expect(first.length).toBeGreaterThan(1)
    expect(readers.length).toBeGreaterThan(1)
    expect([new Set(first).size, new Set(readers).size]).toEqual([1, 1])
    expect(readers[0]).not.toBe(first[0])
  })
})

describe('a pending read', () => {
  it.each<[string, (opened: Opened) => unknown]>([
    ['the client disconnects', ({ transport }) => transport.lose()],
    ['the program destroys the stream', ({ stream }) => stream.destroy()],
    ['the stream is unsubscribed', ({ unsubscribe }) => unsubscribe()],
    ['the stream expires', ({ stream }) => stream._expired()],
  ])('is aborted, and the replay ends, when %s', async (_how, end) => {
    const { hub, start, page, signalOf, read } = await pendingHub()
    const replays = watch('spillway:stream:replay')
    const opened = await subscribed(hub, ['a'], {}, start)
    opened.transport.isFull = true
    opened.stream.send({ data: 'queued' })
    await settled()
    const signal = signalOf()
    expect(signal.aborted).toBe(false)

    end(opened)
    await settled()

    expect(signal.aborted).toBe(true)
    expect(replays).toMatchObject([{ complete: false, error: undefined }])
    const writes = opened.transport.writes.length
    page.resolve({ entries: [], upTo: start })
    await settled()
    expect(opened.transport.writes).toHaveLength(writes)
    expect(read).toHaveBeenCalledOnce()
  })

  it('does not delay the end of a stream that was unsubscribed', async () => {
    const { hub, start } = await pendingHub()
    const { stream, transport, unsubscribe } = await subscribed(hub, ['a'], {}, start)
    unsubscribe()
    await settled()
    stream.close()
    expect(transport.isEnded).toBe(true)
  })

  it('that fails after its client has disconnected causes no unhandled rejection', async () => {
    const { hub, start, page } = await pendingHub()
    const onUnhandled = vi.fn()
    process.on('unhandledRejection', onUnhandled)
    onTestFinished(() => void process.off('unhandledRejection', onUnhandled))
    const { transport } = await subscribed(hub, ['a'], {}, start)
    transport.lose()
    await settled()
    page.reject(new Error('aborted'))
    await settled()
    expect(onUnhandled).not.toHaveBeenCalled()
  })

  it('of a history is aborted when the client disconnects', async () => {
    const store = new MemoryStore()
    const hub = new Hub({ store })
    await publishNumbers(hub, 3)
    const signals: Array<AbortSignal | undefined> = []
    Object.assign(store, {
      history: (_channels: readonly string[], _last: number, signal?: AbortSignal) => {
        signals.push(signal)
        return new Promise(() => {})
      },
    })
    const { stream, transport } = fakeStream()
    hub.subscribe(stream, 'a', { from: { last: 2 } })
    await settled()
    expect(signals.map((signal) => signal?.aborted)).toEqual([false])
    transport.lose()
    await settled()
    expect(signals.map((signal) => signal?.aborted)).toEqual([true])
  })
})

describe('the memory of a replay that waits', () => {
  // As for pages of a broker that arrive together.
  async function arrivedTogether(options: SseStreamOptions = {}) {
    const { store, hub, start } = await recordingHub(16)
    const { read } = store
    const arrival = deferred<void>()
    Object.assign(store, {
      read: (...args: Parameters<typeof read>) => {
        const page = read.apply(store, args)
        return page !== 'gap' && page.entries.length === 0 ? page : arrival.promise.then(() => page)
      },
    })
    const clients = Array.from({ length: 60 }, () => fakeStream(options, start))
    for (const { stream } of clients) hub.subscribe(stream, 'a')
    await settled()
    return { clients, last: clients.at(-1) as (typeof clients)[0], arrival }
  }

  it('counts as buffered for a page, until its turn', async () => {
    const { clients, last, arrival } = await arrivedTogether()
    expect(last.stream.bufferedBytes).toBe(0)
    arrival.resolve()
    await nextTurn()
    expect(last.transport.writes).toEqual([])
    expect(last.stream.bufferedBytes).toBeGreaterThan(15 * EVENT)
    expect(last.stream.bufferedBytes).toBeLessThan(READ_AHEAD + EVENT)
    for (const { stream } of clients) {
      while (stream._connection.sentEvents < 16) await nextTurn()
      expect(stream.bufferedBytes).toBe(0)
    }
  })

  it('counts for the bounds while the kernel accepts nothing', async () => {
    const maxBufferedBytes = 40 * 1024
    const { last, arrival } = await arrivedTogether({ maxBufferedBytes, overflow: 'drop-newest' })
    last.transport.isFull = true
    last.stream.send({ data: 'fills the kernel' })
    arrival.resolve()
    await nextTurn()
    const sent = Array.from({ length: 60 }, () => last.stream.send({ data: 'x'.repeat(EVENT) }))
    expect(sent).toContain(false)
    expect(last.stream.bufferedEvents).toBeGreaterThan(20)
    expect(last.stream.bufferedBytes).toBeLessThanOrEqual(maxBufferedBytes)
  })

  it('refuses no event of a client that reads', async () => {
    const { last, arrival } = await arrivedTogether({ maxBufferedBytes: 10 * 1024 })
    arrival.resolve()
    await nextTurn()
    for (let sent = 0; sent < 60; sent++) last.stream.send({ data: 'x'.repeat(EVENT) })
    expect(last.stream.closed).toBe(false)
  })

  it('leaves room for other events, however large a page is', async () => {
    const { last, arrival } = await arrivedTogether({ maxBufferedBytes: 10 * 1024 })
    last.transport.isFull = true
    last.stream.send({ data: 'fills the kernel' })
    arrival.resolve()
    await nextTurn()
    for (let sent = 0; sent < 4; sent++) last.stream.send({ data: 'x'.repeat(EVENT) })
    expect(last.stream.closed).toBe(false)
  })

  it('counts as buffered for an event of a snapshot, until there is room', async () => {
    const { hub } = await recordingHub(1)
    const { stream, transport } = fakeStream()
    const events = [{ data: 'x'.repeat(READ_AHEAD) }, { data: 'y'.repeat(50_000) }]
    transport.isFull = true
    hub.subscribe(stream, 'a', { snapshot: () => events })
    await settled()
    expect(stream.bufferedBytes).toBeGreaterThan(50_000)
    for (let drains = 0; drains < 5; drains++) {
      transport.drain()
      await settled()
    }
    expect(transport.writes.join('')).toContain('yyy')
    expect(stream.bufferedBytes).toBe(0)
  })
})

type Opened = Awaited<ReturnType<typeof subscribed>>

/** Subscribes a client that does not read. */
async function subscribedFull(hub: Hub, start: string) {
  const { stream, transport } = fakeStream({}, start)
  transport.isFull = true
  hub.subscribe(stream, 'a')
  await settled()
  return { stream, transport }
}
