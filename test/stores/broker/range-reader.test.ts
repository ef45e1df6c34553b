import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { Lanes } from '../../../src/stores/broker/lanes.ts'
import { deferred } from '../../support/deferred.ts'
import { nextTurn } from '../../support/streams.ts'
import { FakeLog, FakeReader, idsAfter, idsOf, openStore, stopClock } from './fake-log.ts'

describe('clients that stopped before the cache', () => {
  it('share reads one after the other, from the newest position to the oldest', async () => {
    stopClock()
    const log = new FakeLog({ entries: 3_000 })
    const store = await openStore(log)
    for (let after = 29_000; after > 0; after -= 1_000) await new FakeReader().replay(store, after)
    expect(log.bytes).toBeLessThan(3_000 * 60)
  })

  it('are not behind the cache again when events are appended during the read', async () => {
    const log = new FakeLog({ entries: 1_000 })
    const store = await openStore(log, { recentEvents: 100 })
    const held = deferred<void>()
    log.hold = held.promise
    const replay = new FakeReader().replay(store, 500)
    await vi.waitUntil(() => log.reads.length === 1)
    for (let at = 0; at < 20; at++) await store.append({ channel: 'a', data: '' })
    held.resolve()
    expect(idsOf(await replay)).toEqual(idsAfter(500, 1_020))
    expect(log.reads).toHaveLength(1)
  })

  it('cause at most two reads at a time', async () => {
    const log = new FakeLog({ entries: 50_000, isNumbered: true, channelOf: (number) => `c${number % 20}` })
    const store = await openStore(log)
    const held = deferred<void>()
    log.hold = held.promise
    const replays = Array.from({ length: 20 }, (_, at) => new FakeReader().replay(store, 10, [`c${at}`]))
    await nextTurn()
    await nextTurn()
    expect(store.reads).toMatchObject({ waiting: 20, running: 2, bytes: 2 * 256 * 1024 })
    held.resolve()
    await Promise.all(replays)
    expect(store.reads).toMatchObject({ waiting: 0, running: 0 })
  })

  it('are served although others read from far behind', async () => {
    const log = new FakeLog({ entries: 90_000, size: 200 })
    const store = await openStore(log)
    const far = new FakeReader()
    let isFarDone = false
    const replay = far.replay(store, 10).then(() => {
      isFarDone = true
    })
    await vi.waitUntil(() => log.reads.length > 2)
    const before = log.reads.length
    await new FakeReader().replay(store, 899_000)
    expect(log.reads.length - before).toBeLessThan(30)
    expect(isFarDone).toBe(false)
    far.disconnect()
    await replay.catch(() => {})
  })
})

describe('an unknown position', () => {
  it('is a gap after one lookup, however many clients resume at it', async () => {
    const log = new FakeLog()
    const store = await openStore(log)
    const replays = Array.from({ length: 50 }, () => new FakeReader().replay(store, 15))
    expect(await Promise.all(replays)).toEqual(Array(50).fill('gap'))
    expect(await new FakeReader().replay(store, 15)).toBe('gap')
    expect(log.reads).toHaveLength(1)
    expect(log.bytes).toBe(0)
  })

  it('is a gap without a lookup inside a kept segment', async () => {
    const log = new FakeLog()
    const store = await openStore(log)
    await new FakeReader().replay(store, 10)
    const { length } = log.reads
    expect(await new FakeReader().replay(store, 115)).toBe('gap')
    expect(log.reads).toHaveLength(length)
  })

  it('is looked up at most a thousand times in a burst, and then refused', async () => {
    vi.useFakeTimers({ toFake: ['Date', 'performance'] })
    try {
      const log = new FakeLog({ entries: 2_000 })
      const store = await openStore(log)
      const results: string[] = []
      for (let at = 0; at < 1_200; at++) {
        const replay = new FakeReader().replay(store, at * 10 + 15)
        results.push(await replay.then(String, (error) => error.code))
      }
      expect(results.filter((each) => each === 'gap')).toHaveLength(1_000)
      expect(results.at(-1)).toBe('ERR_SSE_OVERLOAD')
      // A client with a position in the cache or in what was read is served.
      expect(await new FakeReader().replay(store, 19_950)).toHaveLength(5)
      vi.advanceTimersByTime(1_000)
      expect(idsOf(await new FakeReader().replay(store, 10))).toEqual(idsAfter(10, 2_000))
    } finally {
      vi.useRealTimers()
    }
  })

  it('after the newest entry is looked up once, and limited too', async () => {
    vi.useFakeTimers({ toFake: ['Date', 'performance'] })
    try {
      const log = new FakeLog()
      const store = await openStore(log)
      const replays = Array.from({ length: 50 }, () => new FakeReader().replay(store, 1_000_015))
      expect(await Promise.all(replays)).toEqual(Array(50).fill('gap'))
      expect(log.lookups).toBe(1)
      const reader = new FakeReader()
      let code = ''
      for (let at = 0; at < 2_000 && code === ''; at++)
        await reader.replay(store, 2_000_005 + at * 10).catch((error) => {
          code = error.code
        })
      expect(code).toBe('ERR_SSE_OVERLOAD')
      expect(log.lookups).toBeLessThan(1_002)
    } finally {
      vi.useRealTimers()
    }
  })

  it('does not count if it was evicted, and all clients before the first event need one lookup', async () => {
    vi.useFakeTimers({ toFake: ['Date', 'performance'] })
    onTestFinished(() => void vi.useRealTimers())
    const log = new FakeLog({ entries: 6_000, knowsEvicted: true })
    const store = await openStore(log)
    log.evict(5_000)
    const positions = Array.from({ length: 4_000 }, (_, at) => at * 10 + 10)
    const found = await Promise.all(positions.map((after) => new FakeReader().replay(store, after)))
    expect(new Set(found)).toEqual(new Set(['gap']))
    expect(log.reads.length).toBeLessThan(10)
    expect(await new FakeReader().replay(store, 50_010)).toHaveLength(999)
  })
})

describe('a read', () => {
  it('is not started for clients that have disconnected, and is aborted with the last one', async () => {
    const log = new FakeLog({ entries: 1_000 })
    const store = await openStore(log)
    const held = deferred<void>()
    log.hold = held.promise
    const readers = Array.from({ length: 100 }, () => new FakeReader())
    const replays = readers.map((reader, at) =>
      reader.replay(store, at * 10 + 10).catch(({ message }) => message),
    )
    await vi.waitUntil(() => log.reads.length === 1)
    for (const reader of readers) reader.disconnect()
    expect(await Promise.all(replays)).toEqual(Array(100).fill('disconnected'))
    expect(log.reads[0]?.signal.aborted).toBe(true)
    held.resolve()
    await nextTurn()
    await nextTurn()
    expect(log.reads).toHaveLength(1)
    expect(store.reads).toMatchObject({ waiting: 0, running: 0 })
  })

  it('continues while another client waits for it', async () => {
    const log = new FakeLog()
    const store = await openStore(log)
    const held = deferred<void>()
    log.hold = held.promise
    const [first, second] = [new FakeReader(), new FakeReader()]
    const replays = [first.replay(store, 10), second.replay(store, 10)]
    await vi.waitUntil(() => log.reads.length === 1)
    first.disconnect()
    await expect(replays[0]).rejects.toThrow('disconnected')
    held.resolve()
    expect(await replays[1]).toHaveLength(99)
    expect(log.reads).toHaveLength(1)
  })

  it('rejects for the clients at its position only', async () => {
    const log = new FakeLog({ entries: 1_000 })
    const store = await openStore(log)
    const range = vi.spyOn(log, 'range').mockRejectedValueOnce(new Error('refused'))
    await expect(new FakeReader().replay(store, 10)).rejects.toThrow('refused')
    expect(await new FakeReader().replay(store, 10)).toHaveLength(999)
    expect(range).toHaveBeenCalledTimes(2)
  })

  it('has no effect after a loss, because its entries are of the lost log', async () => {
    const log = new FakeLog({ entries: 1_000 })
    const store = await openStore(log)
    const held = deferred<void>()
    log.hold = held.promise
    const replay = new FakeReader().replay(store, 10)
    await vi.waitUntil(() => log.reads.length === 1)
    log.lose('10000')
    held.resolve()
    await replay
    // The first reply was discarded.
    expect(log.reads.map(({ after }) => after)).toEqual([10, 10])
  })

  it('that was aborted is repeated for a client that begins to wait in the same tick', async () => {
    const log = new FakeLog()
    const store = await openStore(log)
    const held = deferred<void>()
    log.hold = held.promise
    const [first, second] = [new FakeReader(), new FakeReader()]
    const left = first.replay(store, 10).catch(({ message }) => message)
    await vi.waitUntil(() => log.reads.length === 1)
    first.disconnect()
    const replay = second.replay(store, 10)
    held.resolve()
    expect(await left).toBe('disconnected')
    expect(await replay).toHaveLength(99)
  })

  it('ends in a gap when the store is closed', async () => {
    const log = new FakeLog()
    const store = await openStore(log)
    log.hold = new Promise(() => {})
    const replays = [10, 20].map((after) => new FakeReader().replay(store, after))
    await vi.waitUntil(() => log.reads.length === 1)
    await store.close()
    expect(await Promise.all(replays)).toEqual(['gap', 'gap'])
  })

  it('is no gap if a loss moves the cache to the position of its client', async () => {
    const log = new FakeLog({ entries: 100 })
    const store = await openStore(log)
    const held = deferred<void>()
    log.hold = held.promise
    const replay = new FakeReader().replay(store, 900)
    await vi.waitUntil(() => log.reads.length === 1)
    log.truncate(10)
    held.resolve()
    expect(await replay).toEqual([])
  })

  it('of a position that another process has delivered ends in a gap when the log loses it', async () => {
    const log = new FakeLog()
    const store = await openStore(log)
    const { id } = log.add('a')
    const replay = new FakeReader().replay(store, id)
    await nextTurn()
    log.truncate(5)
    expect(await replay).toBe('gap')
  })

  it('of a position that another process has delivered ends when its client disconnects', async () => {
    const log = new FakeLog()
    const store = await openStore(log)
    const { id } = log.add('a')
    const [reader, other] = [new FakeReader(), new FakeReader()]
    const ends: string[] = []
    const read = (name: string, client: FakeReader) =>
      Promise.resolve(store.read(['a'], id, 500, client)).then(
        () => ends.push(`${name} continues`),
        ({ message }) => ends.push(`${name} ${message}`),
      )
    const reads = Promise.all([read('one', reader), read('other', other)])
    await nextTurn()
    reader.disconnect()
    await nextTurn()
    expect(ends).toEqual(['one disconnected'])
    log.deliver()
    await reads
    expect(ends).toEqual(['one disconnected', 'other continues'])
  })
})

describe('a page', () => {
  const channelOf = (number: number) => (number % 100 === 0 ? 'quiet' : 'busy')

  it('has the entries of several kept segments, as far as the client has room', async () => {
    const log = new FakeLog({ entries: 12_000, size: 100, channelOf })
    const store = await openStore(log)
    await new FakeReader().replay(store, 10, ['busy'])
    const page = await store.read(['quiet'], '10', 500, new FakeReader())
    expect(page).toMatchObject({ entries: { length: 119 } })
    const reader = new FakeReader()
    reader.room = 2_400
    expect(await store.read(['quiet'], '10', 500, reader)).toMatchObject({ entries: { length: 20 } })
    expect(await store.read(['quiet'], '10', 7, new FakeReader())).toMatchObject({ entries: { length: 7 } })
  })

  it('without entries covers thousands of others, and then has a position for the client', async () => {
    const log = new FakeLog({ entries: 30_000, channelOf: () => 'busy' })
    const store = await openStore(log)
    const page = await store.read(['quiet'], '10', 500, new FakeReader())
    expect(page).toMatchObject({ entries: [] })
    expect(Number(page !== 'gap' && page.upTo)).toBeGreaterThanOrEqual(50_000)
    expect(Number(page !== 'gap' && page.upTo)).toBeLessThan(70_000)
  })
})

describe('the memory of segments', () => {
  it('is at least the segment that clients wait for, even if its only entry is larger', async () => {
    const log = new FakeLog({ entries: 20, size: 100_000 })
    const store = await openStore(log, { replayBytes: 10_000 })
    expect(await new FakeReader().replay(store, 10)).toHaveLength(19)
    expect(store.reads.bytes).toBeLessThan(500_000)
  })

  it('is released when no client has read it for five seconds', async () => {
    vi.useFakeTimers({ toFake: ['Date', 'performance', 'setTimeout', 'clearTimeout'] })
    try {
      const store = await openStore(new FakeLog({ entries: 1_000 }))
      await new FakeReader().replay(store, 10)
      expect(store.reads.bytes).toBeGreaterThan(0)
      vi.advanceTimersByTime(10_000)
      expect(store.reads.bytes).toBe(0)
      expect(vi.getTimerCount()).toBe(0)
    } finally {
      vi.useRealTimers()
    }
  })

  it('counts the objects of segments that have few entries', async () => {
    stopClock()
    const store = await openStore(new FakeLog({ entries: 600 }))
    for (let after = 5_000; after > 0; after -= 10)
      await store.read(['a'], String(after), 500, new FakeReader())
    expect(store.reads.bytes).toBeGreaterThan(1_000_000)
  })
})

describe('one replay', () => {
  it('ends in a gap when it has read too many entries, counting those of other channels', async () => {
    const log = new FakeLog({ entries: 5_000, channelOf: (number) => (number === 4_000 ? 'quiet' : 'busy') })
    const store = await openStore(log, { maxReplayedEvents: 3_000 })
    expect(await new FakeReader().replay(store, 10, ['quiet'])).toBe('gap')
    expect(await new FakeReader().replay(store, 25_000, ['quiet'])).toHaveLength(1)
    expect(log.reads.length).toBeLessThan(10)
  })

  it('has one reader, and reads without a reader are bounded separately', async () => {
    const store = await openStore(new FakeLog({ entries: 1_000 }), { maxReplayedEvents: 1_500 })
    for (let read = 0; read < 3; read++)
      expect(await store.read(['a'], '10', 2_000)).toMatchObject({ entries: { length: 994 } })
  })

  it('ends in a gap when it has read too many bytes', async () => {
    const log = new FakeLog({ entries: 1_000, size: 10_000 })
    const store = await openStore(log, { maxReplayedBytes: 1_000_000 })
    expect(await new FakeReader().replay(store, 10)).toBe('gap')
    expect(log.bytes).toBeLessThan(1_700_000)
  })

  it('is a gap without a read where the broker numbers its entries', async () => {
    const log = new FakeLog({ entries: 5_000, isNumbered: true })
    const store = await openStore(log, { maxReplayedEvents: 1_000 })
    expect(
      await new FakeReader().replay(
        store,
        10,
        Array.from({ length: 9 }, (_, at) => `c${at}`),
      ),
    ).toBe('gap')
    expect(log.reads).toEqual([])
  })

  it('reads a quiet channel alone where the broker can do so', async () => {
    const channelOf = (number: number) => (number % 10_000 === 0 ? 'quiet' : 'busy')
    const log = new FakeLog({ entries: 50_000, isNumbered: true, channelOf })
    const store = await openStore(log, { maxReplayedEvents: 10_000 })
    const found = await new FakeReader().replay(store, 10, ['quiet'])
    expect(idsOf(found)).toEqual(['100000', '200000', '300000', '400000', '500000'])
    expect(log.bytes).toBeLessThan(1_000)
  })

  it('reads the channels of many clients alone, and visits not all of them for each read', async () => {
    const visits = vi.spyOn(Lanes.prototype, Symbol.iterator)
    onTestFinished(() => visits.mockRestore())
    const clients = 1_000
    const log = new FakeLog({ entries: 100, isNumbered: true })
    log.distance = () => 1_000_000
    const store = await openStore(log)
    await Promise.all(
      Array.from({ length: clients }, (_, at) => store.read([`c${at}`], '10', 500, new FakeReader())),
    )
    expect(log.reads).toHaveLength(clients)
    expect(visits.mock.calls.length).toBeLessThan(10)
  })

  it('merges several channels that are read alone in the order of the log', async () => {
    const channelOf = (number: number) => `c${number % 7}`
    const log = new FakeLog({ entries: 20_000, size: 100, isNumbered: true, channelOf })
    const store = await openStore(log)
    const found = await new FakeReader().replay(store, 10, ['c1', 'c3', 'c5'])
    const wanted = idsAfter(10, 20_000).filter((id) => [1, 3, 5].includes((Number(id) / 10) % 7))
    expect(idsOf(found)).toEqual(wanted)
  })

  it('has pages with room for the client, or of one entry', async () => {
    const log = new FakeLog({ entries: 100, size: 1_000 })
    const store = await openStore(log)
    const reader = new FakeReader()
    for (const [room, length] of [
      [10, 1],
      [3_500, 3],
      [1_000_000, 94],
    ] as const) {
      reader.room = room
      const page = await store.read(['a'], '10', 500, reader)
      expect(page).toMatchObject({ entries: { length } })
    }
    // The cache too.
    reader.room = 3_500
    expect(await store.read(['a'], '950', 500, reader)).toMatchObject({ entries: { length: 3 } })
  })

  it('counts the entries of several channels that are read alone', async () => {
    const channels = Array.from({ length: 8 }, (_, at) => `c${at}`)
    const channelOf = (number: number) => `c${number % 8}`
    const log = new FakeLog({ entries: 20_000, isNumbered: true, channelOf })
    const store = await openStore(log, { maxReplayedEvents: 25_000 })
    expect(await new FakeReader().replay(store, 10, channels)).toHaveLength(19_999)
  })
})
