import { deepEqual, equal, match, notEqual, ok } from 'node:assert/strict'
import type { EventStore } from '../stores/event-store.ts'
import { type Cases, numbers, Opened, type OpenStore, type Run, until } from './opened-store.ts'
import { STATES } from './store-states.ts'

export type { OpenStore }

/** The functions of a test runner that the suite calls, for example those of vitest, jest or `node:test`. */
export interface TestRunner {
  describe(name: string, define: () => void): unknown
  test(name: string, run: () => Promise<void>): unknown
}

export interface StoreTraits {
  /** Returns the store of another process on the same broker as the last store. Default: none. */
  openAnother?: OpenStore | undefined
  /** Whether a position of one process is a position in the store of another one. Default false. */
  sharesPositions?: boolean | undefined
  /**
   * Whether a page of several entries ends before it exceeds the `room` of its reader. A store MAY ignore `room`.
   * Default false.
   */
  respectsRoom?: boolean | undefined
}

const LONG = 'x'.repeat(1_000)
// Ids that a client may send and that are not positions of any store.
const HOSTILE = ['', '0', '-1', LONG, '\0', '*', '$', '+', '1-1-1', 'é', "'; --", '99999999999999999999-0']

// Channels that a store may take for each other, and one that a plain object has.
const SIMILAR = ['a', 'A', 'aa', 'a.b', 'a b', 'a ', 'a:b', 'a>', 'é', 'e\u0301', '__proto__']

// Texts that replace the number at the end of an id.
const HOSTILE_NUMBERS = ['-1', '-0', '', '1e0', '0x1', '0.5', '1e-7', '9'.repeat(17), '9'.repeat(400)]

/**
 * Defines the tests that every `EventStore` MUST pass, for example
 * `storeContract({ describe, test }, 'My store', () => new MyStore())`.
 */
export function storeContract(
  { describe, test }: TestRunner,
  name: string,
  open: OpenStore,
  traits: StoreTraits = {},
): void {
  describe(name, () => {
    const cases = {
      ...STATES,
      ...APPENDS,
      ...READS,
      ...IDEMPOTENCY,
      ...OPTIONAL,
      ...rooms(traits),
      ...processes(traits),
    }
    for (const [title, run] of Object.entries(cases)) {
      test(title, async () => {
        const opened = await Opened.by(open)
        // A store that stays open could pass entries to `onEntry` during the next test.
        await run(opened).finally(() => opened.close())
      })
    }
  })
}

const APPENDS: Cases = {
  async 'passes every entry to onEntry once, in order, with the id that append resolves with'(opened) {
    const ids: string[] = []
    for (let i = 0; i < 10; i++) ids.push(await opened.append('a', i))
    deepEqual(await opened.received(10), numbers(0, 10))
    const received = opened.entries.map(({ id }) => id)
    deepEqual(received, ids)
    equal(new Set(ids).size, 10)
    equal(opened.store.position, ids.at(-1))
  },
  async 'keeps every field of an event'(opened) {
    const id = await opened.append('a', 7, { event: 'price', retry: 100, key: 'k' })
    const second = await opened.append('b', 7, { isText: true })
    await opened.received(2)
    deepEqual(
      opened.entries.map(({ channel, event }) => ({ channel, event })),
      [
        { channel: 'a', event: { event: 'price', retry: 100, key: 'k', id, data: 7 } },
        { channel: 'b', event: { id: second, data: '7' } },
      ],
    )
    equal(opened.entries[0]?.frame.payload.toString(), `retry: 100\nid: ${id}\nevent: price\ndata: 7\n\n`)
  },
  async 'keeps the trace of a publish'(opened) {
    const trace = { traceparent: `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01`, tracestate: 'c=d' }
    await opened.append('a', 1, { trace })
    await opened.received(1)
    deepEqual({ ...opened.entries[0]?.trace }, trace)
  },
  async 'keeps text with any characters'(opened) {
    const data = 'line\nend\t"\\ \0 é € 😀'
    await opened.store.append({ channel: 'a', data, isText: true, event: '€', key: '😀' })
    await opened.received(1)
    const { event, key, data: kept } = opened.entries[0]?.event ?? {}
    deepEqual({ event, key, data: kept }, { event: '€', key: '😀', data })
  },
  async 'keeps the order of appends that are not awaited'(opened) {
    await Promise.all(numbers(0, 20).map((i) => opened.append('a', i)))
    deepEqual(await opened.received(20), numbers(0, 20))
  },
  async 'assigns ids that are short and safe in a header'(opened) {
    match(await opened.append('a', 1), /^[\w.:-]{1,64}$/)
    await opened.received(1)
    match(opened.store.position, /^[\w.:-]{1,64}$/)
  },
}

const READS: Cases = {
  async 'reads strictly after a position, in pages, in the order of the log'(opened) {
    const start = opened.store.position
    const ids: string[] = []
    for (const i of numbers(0, 12)) ids.push(await opened.append(i % 2 ? 'odd' : 'even', i))
    await opened.received(12)
    deepEqual(await opened.readAll(['even', 'odd'], start), numbers(0, 12))
    deepEqual(await opened.readAll(['odd', 'even'], ids[8] as string), [9, 10, 11])
    deepEqual(await opened.readAll(['odd'], ids[4] as string), [5, 7, 9, 11])
    deepEqual(await opened.readAll(['none'], start), [])
  },
  async 'reads only entries that were passed to onEntry, up to its position'(opened) {
    const { store, entries } = opened
    const start = store.position
    for (const i of numbers(0, 5)) {
      await opened.append('a', i)
      equal(store.position, entries.at(-1)?.id ?? start)
      const page = await store.read(['a'], start, 10)
      const received = new Set(entries.map(({ id }) => id))
      const isReceived = page !== 'gap' && page.entries.every(({ id }) => received.has(id))
      ok(isReceived, 'A page is a gap, or has an entry that was not passed to onEntry.')
    }
  },
  async 'distinguishes channels with similar names'(opened) {
    const start = opened.store.position
    for (const [i, name] of SIMILAR.entries()) await opened.append(name, i)
    await opened.received(SIMILAR.length)
    for (const [i, name] of SIMILAR.entries()) deepEqual(await opened.readAll([name], start), [i], name)
  },
  async 'reads everything for a reader that has room for one entry, or for none'(opened) {
    const start = opened.store.position
    for (const i of numbers(0, 6)) await opened.append(i % 2 ? 'odd' : 'even', i)
    await opened.received(6)
    for (const room of [opened.entries[0]?.size ?? 0, 0])
      deepEqual(await opened.readAll(['even', 'odd'], start, 3, room), numbers(0, 6))
  },
  async 'returns the empty page synchronously if nothing follows a position'(opened) {
    await opened.append('a', 1)
    await opened.received(1)
    const { position } = opened.store
    const page = opened.store.read(['a', 'none'], position, 10)
    deepEqual(page, { entries: [], upTo: position })
  },
  async 'reads a channel once that is named twice'(opened) {
    const start = opened.store.position
    for (const i of numbers(0, 4)) await opened.append('a', i)
    await opened.received(4)
    deepEqual(await opened.readAll(['a', 'b', 'a'], start), numbers(0, 4))
  },
  ...Object.fromEntries(HOSTILE.map(hostileCase)),
  async 'returns a gap for a position of the future and for an id in another spelling'(opened) {
    const id = await opened.append('a', 1)
    const next = id.replace(/\d+$/, (digits) => String(Number(digits) + 1))
    const others = HOSTILE_NUMBERS.map((number) => id.replace(/\d+$/, number))
    for (const other of [next, ` ${id}`, `${id}.5`, id.replace(/(\d+)$/, '0$1'), ...others])
      equal(await opened.store.read(['a'], other, 10), 'gap', other)
  },
}

const once = { idempotencyKey: 'k' }

const IDEMPOTENCY: Cases = {
  async 'appends one event for an idempotency key'(opened) {
    const [first, second] = await Promise.all([opened.append('a', 1, once), opened.append('a', 2, once)])
    const third = await opened.append('a', 3, once)
    const other = await opened.append('a', 4, { idempotencyKey: 'other' })
    deepEqual([second, third], [first, first])
    notEqual(other, first)
    deepEqual(await opened.received(2), [1, 4])
  },
  async 'appends an event on each channel for an idempotency key'(opened) {
    const first = await opened.append('a', 1, once)
    const other = await opened.append('b', 2, once)
    notEqual(other, first)
    deepEqual(await opened.received(2), [1, 2])
    equal(await opened.append('b', 3, once), other)
    equal(await opened.append('a', 3, once), first)
  },
}

function hostileCase(id: string): [title: string, run: Run] {
  const run: Run = async (opened) => {
    await opened.append('a', 1)
    equal(await opened.store.read(['a'], id, 10), 'gap')
  }
  return [`returns a gap for the id ${JSON.stringify(id.slice(0, 40))}`, run]
}

// Each test passes if a store lacks the method.
const OPTIONAL: Cases = {
  async 'orders positions by compare, if it has one'(opened) {
    const { store } = opened
    const positions = [store.position, ...(await opened.appendAll('a', 3))]
    await opened.received(3)
    const signs = positions.map((a) => positions.map((b) => Math.sign(store.compare?.(a, b) ?? 0)))
    const expected = positions.map((_, a) => positions.map((_, b) => Math.sign(a - b)))
    if (store.compare) deepEqual(signs, expected)
  },
  async 'returns by history where the newest events of some channels begin, if it has one'(opened) {
    const { store } = opened
    if (!store.history) return
    const newest = async (channels: string[], last: number) =>
      opened.readAll(channels, (await (store as Required<EventStore>).history(channels, last)).after)
    for (const i of numbers(0, 12)) {
      await opened.append(i % 2 ? 'odd' : 'even', i)
      await opened.received(i + 1)
      deepEqual(await newest(['odd', 'even'], i + 1), numbers(0, i + 1))
    }
    deepEqual(await newest(['odd'], 3), [7, 9, 11])
    deepEqual(await newest(['odd', 'even'], 3), [9, 10, 11])
    deepEqual(await newest(['odd'], 50), [1, 3, 5, 7, 9, 11])
    deepEqual(await newest(['even'], Number.POSITIVE_INFINITY), [0, 2, 4, 6, 8, 10])
    deepEqual(await newest(['none'], 3), [])
    equal((await store.history(['odd'], 3)).isIncomplete, false)
  },
  async 'returns by staleness 0 at the newest position, and more before it, if it has one'(opened) {
    const { store } = opened
    const [first, second] = (await opened.appendAll('a', 3)) as [string, string]
    await opened.received(3)
    if (!store.staleness) return
    const [older, newer] = [store.staleness(first, ['a']), store.staleness(second, ['a'])]
    equal(store.staleness(store.position, ['a']), 0)
    ok(0 < newer && newer <= older && older <= 1, `Expected 0 < ${newer} <= ${older} <= 1.`)
  },
}

function rooms({ respectsRoom }: StoreTraits): Cases {
  if (!respectsRoom) return {}
  return {
    async 'ends a page before it exceeds the room of its reader'(opened) {
      const { store, entries } = opened
      const start = store.position
      await opened.appendAll('a', 9)
      await opened.received(9)
      const size = Math.max(...entries.map((entry) => entry.size))
      const signal = new AbortController().signal
      for (const [room, count] of [
        [3 * size, 3],
        [3 * size - 1, 2],
        [0, 1],
      ] as const) {
        const page = await store.read(['a'], start, 9, { room, signal })
        deepEqual([page === 'gap' ? page : page.entries.length], [count], `Wrong length for ${room} bytes.`)
      }
    },
  }
}

function processes({ openAnother, sharesPositions }: StoreTraits): Cases {
  if (!openAnother) return {}
  const run: Run = async (opened) => {
    const other = await Opened.by(openAnother)
    const id = await opened.append('a', 1)
    await opened.append('a', 2)
    await opened.received(2)
    if (sharesPositions)
      await until(() => other.store.position === opened.store.position, 'the position of another process')
    deepEqual(await other.readAll(['a'], id), sharesPositions ? [2] : ['gap'])
    await other.close()
  }
  return sharesPositions
    ? { 'reads after a position of another process': run }
    : { 'returns a gap for a position of another process': run }
}
