import { afterEach, describe, expect, it, vi } from 'vitest'
import { Broadcaster } from '../../src/hub/broadcaster.ts'
import { ChannelMap } from '../../src/hub/channel-map.ts'
import { Hub } from '../../src/hub/hub.ts'
import type { SubscribeOptions } from '../../src/hub/subscribe-options.ts'
import { MemoryStore, type MemoryStoreOptions } from '../../src/stores/memory/memory-store.ts'
import { eventsOf } from '../support/hub.ts'
import { SlowStore } from '../support/slow-store.ts'
import { fakeStream, nextTurn, settled } from '../support/streams.ts'

interface Work {
  /** Calls that add channels to those of the fan-out, or remove them. */
  fanOut: number
  /** Channels in the lists that were built of all channels of a stream. */
  listed: number
  /** Channels that were passed to the store. */
  read: number
}

/** Counts the work of all streams. */
function countWork(store: SlowStore | MemoryStore): Work {
  const work: Work = { fanOut: 0, listed: 0, read: 0 }
  const { add, remove } = Broadcaster.prototype
  vi.spyOn(Broadcaster.prototype, 'add').mockImplementation(function (this: Broadcaster, ...args) {
    work.fanOut += 1
    add.apply(this, args)
  })
  vi.spyOn(Broadcaster.prototype, 'remove').mockImplementation(function (this: Broadcaster, ...args) {
    work.fanOut += 1
    remove.apply(this, args)
  })
  const { get } = Object.getOwnPropertyDescriptor(ChannelMap.prototype, 'channels') as PropertyDescriptor
  vi.spyOn(ChannelMap.prototype, 'channels', 'get').mockImplementation(function (this: ChannelMap) {
    const channels = get?.call(this)
    work.listed += channels.length
    return channels
  })
  for (const method of ['read', 'history'] as const) {
    const call = store[method].bind(store) as (...args: unknown[]) => never
    vi.spyOn(store, method).mockImplementation((channels: readonly string[], ...rest: unknown[]) => {
      work.read += channels.length
      return call(channels, ...rest)
    })
  }
  return work
}

const totalOf = ({ fanOut, listed, read }: Work) => fanOut + listed + read

interface Client {
  name: string
  isResumed: boolean
  hasMissed?: boolean
  /** The options of each channel. */
  options?: (i: number) => SubscribeOptions
}

const isVisible = () => true
const CLIENTS: Client[] = [
  { name: 'a new client', isResumed: false },
  { name: 'a new client with filters', isResumed: false, options: () => ({ filter: () => true }) },
  { name: 'a new client with a snapshot each', isResumed: false, options: () => ({ snapshot: () => [] }) },
  { name: 'a resumed client', isResumed: true },
  { name: 'a resumed client with filters', isResumed: true, options: () => ({ filter: () => true }) },
  { name: 'a resumed client with one filter', isResumed: true, options: () => ({ filter: isVisible }) },
  { name: 'a resumed client with a snapshot each', isResumed: true, options: () => ({ snapshot: () => [] }) },
  { name: 'a resumed client that missed an event', isResumed: true, hasMissed: true },
  { name: 'a resumed client with a history', isResumed: true, options: () => ({ from: { last: 1 } }) },
]

const PACES = ['in one turn', 'in its own turn'] as const
const ORDERS = ['in the same order', 'in reverse order'] as const

/** Returns the work of a live stream that adds channels one after another, and that of leaving them. */
async function workOf(channels: number, turns: number, client: Client, pace: string, order: string) {
  const store = new SlowStore(new MemoryStore({ maxEvents: 100_000 }), turns, 1_000)
  const hub = new Hub({ store })
  const start = await hub.channel('first').publish({ data: 0 })
  const names = Array.from({ length: channels }, (_, i) => `channel ${i}`)
  if (client.hasMissed) await Promise.all(names.map((name) => hub.channel(name).publish({ data: name })))
  const { stream } = fakeStream({}, client.isResumed ? start : undefined)
  hub.subscribe(stream, 'first')
  await settled()
  const work = countWork(store)

  const ends: Array<() => void> = []
  for (const [i, name] of names.entries()) {
    ends.push(hub.subscribe(stream, name, client.options?.(i)))
    if (pace === 'in its own turn') await nextTurn()
  }
  do await settled()
  while (store.isBusy)
  const adding = totalOf(work)

  for (const end of order === 'in reverse order' ? ends.reverse() : ends) {
    end()
    if (pace === 'in its own turn') await nextTurn()
  }
  await settled()
  vi.restoreAllMocks()
  return { adding, leaving: totalOf(work) - adding }
}

const FEW = 60

const { numberOf } = SlowStore

describe.each([0, 2])('a live stream on a store whose reads take %i turns', (turns) => {
  afterEach(() => {
    vi.restoreAllMocks()
  })

  describe.each(PACES)('adds and leaves each channel %s', (pace) => {
    describe.each(ORDERS)('%s', (order) => {
      it.each(CLIENTS)('in linear time, as $name', async (client) => {
        const once = await workOf(FEW, turns, client, pace, order)
        const twice = await workOf(2 * FEW, turns, client, pace, order)
        if (process.env.CHANNELS)
          console.log(JSON.stringify({ turns, pace, order, client: client.name, FEW, once, twice }))

        expect(twice.adding).toBeLessThan(2.5 * once.adding)
        expect(twice.leaving).toBeLessThan(2.5 * once.leaving)
        // With a factor that is the same for any number of channels.
        expect(twice.adding + twice.leaving).toBeLessThan(2 * FEW * 12)
      })
    })
  })
})

describe('a new client with many channels, of which each has a start of its own', () => {
  afterEach(() => {
    vi.restoreAllMocks()
  })

  /** Returns how many channels the pages visit of a client that gets the newest two of three events of each channel. */
  async function visitsOf(options: MemoryStoreOptions, isResumed = false): Promise<number> {
    const store = new MemoryStore(options)
    const hub = new Hub({ store })
    const names = Array.from({ length: 200 }, (_, i) => `channel ${i}`)
    const starts: string[] = []
    for (const name of names)
      for (let i = 0; i < 3; i++) starts.push(await hub.channel(name).publish({ data: `${name} ${i}` }))
    const { stream, transport } = fakeStream({}, isResumed ? starts[0] : undefined)
    const work = countWork(store)
    for (const name of names) hub.subscribe(stream, name, isResumed ? {} : { from: { last: 2 } })
    while (!transport.writes.join('').includes('channel 199 2')) await nextTurn()
    const expected = names.flatMap((name) => [1, 2].map((i) => `message ${name} ${i}`))
    if (!isResumed) expect(eventsOf(transport)).toEqual(expected)
    vi.restoreAllMocks()
    return work.read - (isResumed ? 0 : names.length)
  }

  it.each<[string, MemoryStoreOptions]>([
    ['all channels together', {}],
    ['each channel', { perChannel: { maxEvents: 2 } }],
  ])('visits about as many as a client that resumes, on a store that limits %s', async (_limits, options) => {
    const resumed = await visitsOf({}, true)
    expect(await visitsOf(options)).toBeLessThan(3 * resumed)
  })

  it('has no gap on a store that returns one for events before a start', async () => {
    const store = new MemoryStore({ perChannel: { maxEvents: 2 } })
    const read = store.read.bind(store)
    Object.assign(store, {
      read: (...[channels, after, limit]: Parameters<typeof read>) => read(channels, after, limit),
    })
    const hub = new Hub({ store })
    const names = Array.from({ length: 30 }, (_, i) => `channel ${i}`)
    for (const name of names)
      for (let i = 0; i < 3; i++) await hub.channel(name).publish({ data: `${name} ${i}` })
    const { stream, transport } = fakeStream()
    for (const name of names) hub.subscribe(stream, name, { from: { last: 2 } })
    await settled()
    expect(eventsOf(transport)).toEqual(names.flatMap((name) => [1, 2].map((i) => `message ${name} ${i}`)))
  })

  it('is sent its position at each start before the events that follow it', async () => {
    const store = new MemoryStore()
    const hub = new Hub({ store })
    const names = Array.from({ length: 12 }, (_, i) => `channel ${i}`)
    // Some channels are quieter than others.
    for (let number = 0; number < 200; number++) {
      const name = names[Math.floor(12 * ((number * 0.618) % 1) ** 2)] as string
      await hub.channel(name).publish({ data: number })
    }
    const starts = names.map((name) => numberOf(store.history([name], 3).after)).sort((a, b) => a - b)
    const { stream, transport } = fakeStream()
    for (const name of names) hub.subscribe(stream, name, { from: { last: 3 } })
    await settled()

    expect(eventsOf(transport)).toHaveLength(36)
    const blocks = [...transport.all.join('').matchAll(/id: (.+)\n(event: position\n)?/g)]
    const ids = blocks.map(([, id]) => numberOf(id as string))
    for (const [at, [, , position]] of blocks.entries()) {
      const id = ids[at] as number
      const start = starts.findLast((each) => each < id) as number
      // A client that is cut off there resumes after the events that it must not receive.
      if (position === undefined && at > 0) expect(ids[at - 1]).toBeGreaterThanOrEqual(start)
      if (position !== undefined) expect([...starts, 200]).toContain(id)
    }
  })

  async function comparesOf(channels: number): Promise<number> {
    const store = new MemoryStore()
    const hub = new Hub({ store })
    const names = Array.from({ length: channels }, (_, i) => `channel ${i}`)
    for (const name of names) await hub.channel(name).publish({ data: name })
    const compare = vi.spyOn(store, 'compare')
    const { stream, transport } = fakeStream()
    for (const name of names) hub.subscribe(stream, name, { from: { last: 1 } })
    while (stream._connection.sentEvents < channels) await nextTurn()
    expect(eventsOf(transport)).toEqual(names.map((name) => `message ${name}`))
    return compare.mock.calls.length
  }

  it('compares positions in about linear time', async () => {
    const once = await comparesOf(FEW)
    expect(await comparesOf(2 * FEW)).toBeLessThan(2.5 * once)
  })
})
