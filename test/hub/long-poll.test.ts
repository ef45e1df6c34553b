import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { sse } from '../../src/adapters/web.ts'
import type { LongPollOptions, SseStreamOptions } from '../../src/http/options.ts'
import { Hub } from '../../src/hub/hub.ts'
import type { HubOptions } from '../../src/hub/hub-options.ts'
import type { SubscribeOptions } from '../../src/hub/subscribe-options.ts'
import { MemoryStore } from '../../src/stores/memory/memory-store.ts'
import type { SseStream } from '../../src/stream/stream.ts'
import { deferred } from '../support/serve.ts'
import { SlowStore } from '../support/slow-store.ts'
import { nextTurn, settled } from '../support/streams.ts'

interface Page {
  events: Array<{ event: string; id?: string; data: unknown }>
  lastEventId: string | null
  retry: number
}

type Handler = (stream: SseStream) => unknown

/** Returns a function that requests a long poll. */
function polling(handler: Handler, longPoll: LongPollOptions = {}, options: SseStreamOptions = {}) {
  const respond = sse(handler as never, { formats: ['json'], longPoll, ...options })
  return async (query: { lastEventId?: string | null; hold?: number } = {}): Promise<Page> => {
    const url = new URL('http://127.0.0.1/?format=json')
    for (const [name, value] of Object.entries(query))
      if (value !== null) url.searchParams.set(name, String(value))
    const response = await respond(new Request(url))
    return (await response.json()) as Page
  }
}

const dataOf = ({ events }: Page) => events.map(({ data }) => data)

beforeEach(() => void vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval', 'performance'] }))
afterEach(() => void vi.useRealTimers())

describe('a long poll of a hub', () => {
  const news = (options: SubscribeOptions, longPoll?: LongPollOptions, hubOptions?: HubOptions) => {
    const channel = new Hub(hubOptions).channel('news')
    return { channel, poll: polling((stream) => channel.subscribe(stream, options), longPoll) }
  }

  const states = Array.from({ length: 5 }, (_, data) => ({ event: 'state', data }))

  // More than is queued at a time.
  const large = Array.from({ length: 10 }, (_, index) => ({ data: `${index}`.padEnd(100_000) }))

  it('sends a snapshot that is larger than a page in one response', async () => {
    const { channel, poll } = news({ snapshot: () => large })
    await channel.publish({ data: 'before' })
    const first = await poll()
    expect(dataOf(first)).toEqual(large.map(({ data }) => data))
    const id = await channel.publish({ data: 'after' })
    expect(await poll({ lastEventId: first.lastEventId })).toMatchObject({ events: [{ id }] })
  })

  it.each<[string, string | null, (states: () => AsyncIterable<object>) => SubscribeOptions]>([
    ['a snapshot', null, (states) => ({ snapshot: states as never })],
    ['the events of onGap', 'unknown', (states) => ({ onGap: states as never })],
  ])('sends %s that takes longer than the time to collect', async (_what, lastEventId, options) => {
    const [hasStarted, canGoOn] = [deferred<void>(), deferred<void>()]
    const slow = async function* () {
      yield states[0] as object
      hasStarted.resolve()
      await canGoOn.promise
      yield* states.slice(1)
    }
    const { poll } = news(options(slow))
    const pending = poll({ lastEventId })
    await hasStarted.promise
    await settled()
    vi.advanceTimersByTime(2_000)
    canGoOn.resolve()
    const page = await pending
    expect(dataOf(page)).toEqual([0, 1, 2, 3, 4])
    expect(page.lastEventId).not.toBe(lastEventId)
  })

  it('sends the events of onGap of a stream in one response', async () => {
    const poll = polling(() => {}, {}, { replay: () => 'gap', onGap: () => large })
    expect(dataOf(await poll({ lastEventId: 'unknown' }))).toEqual(large.map(({ data }) => data))
  })

  it('has a cursor with positions: false, so that nothing is missed before the first event', async () => {
    const { channel, poll } = news({ snapshot: () => states }, {}, { positions: false, gapEvent: false })
    const first = await poll()
    expect(first.lastEventId).toEqual(expect.any(String))
    const id = await channel.publish({ data: 'missed' })
    expect(await poll({ lastEventId: first.lastEventId })).toMatchObject({ events: [{ id }] })
    const afterGap = await poll({ lastEventId: 'unknown', hold: 0 })
    expect(afterGap.lastEventId).toBe(id)
  })

  it('keeps the reconnection time of a shutdown while missed events are read', async () => {
    const hub = new Hub({ store: new SlowStore(new MemoryStore(), 3, 100) })
    const first = await hub.channel('news').publish({ data: 1 })
    const last = await hub.channel('news').publish({ data: 2 })
    const pending = polling((stream) => hub.subscribe(stream, 'news'))({ lastEventId: first })
    await nextTurn()
    expect(hub.size).toBe(1)
    await hub.shutdown({ retry: 30_000 })
    const page = await pending
    expect(page).toMatchObject({ events: [{ id: last }], lastEventId: last })
    expect(page.retry).toBeGreaterThanOrEqual(30_000)
  })

  it.each<[query: object, options: SubscribeOptions, expected: string[]]>([
    [{}, { from: 'start' }, ['1', '2', '3']],
    [{ hold: 0 }, { from: 'start' }, ['1', '2', '3']],
    [{ hold: 0 }, { from: { last: 2 } }, ['2', '3']],
  ])(
    'with %j waits for the history %j of a store that is read asynchronously',
    async (query, options, expected) => {
      const hub = new Hub({ store: new SlowStore(new MemoryStore(), 3, 100) })
      for (const data of ['1', '2', '3']) await hub.channel('news').publish({ data })
      const poll = polling((stream) => hub.subscribe(stream, 'news', options))
      const page = await poll(query)
      expect(dataOf(page)).toEqual(expected)
      expect(page.lastEventId).toBe(page.events.at(-1)?.id)
    },
  )

  it('has the event of the handler and the history in one response', async () => {
    const hub = new Hub({ store: new SlowStore(new MemoryStore(), 3, 100) })
    await hub.channel('news').publish({ data: 'old' })
    const poll = polling((stream) => {
      stream.send({ data: 'hello' })
      hub.subscribe(stream, 'news', { from: 'start' })
    })
    expect(dataOf(await poll())).toEqual(['hello', 'old'])
  })

  it('is followed by the next one at once, whatever the reconnection time of the stream', async () => {
    const poll = polling((stream) => {
      stream.send({ id: '1', data: 1 })
      stream.send({ retry: 30_000 })
    })
    const pending = poll()
    await settled()
    vi.advanceTimersByTime(200)
    expect(await pending).toMatchObject({ lastEventId: '1', retry: 0 })
  })

  it('has a bounded page when more is published in one turn, and continues after it', async () => {
    const channel = new Hub().channel('news')
    const poll = polling((stream) => channel.subscribe(stream), {}, { maxBufferedEvents: 1_000 })
    const first = await channel.publish({ data: -1 })
    const pending = poll({ lastEventId: first })
    await settled()
    const ids = await Promise.all(Array.from({ length: 8_000 }, (_, data) => channel.publish({ data })))
    const received: unknown[] = []
    for (let page = await pending; ; page = await poll({ lastEventId: page.lastEventId })) {
      expect(page.events.length).toBeLessThanOrEqual(2_000)
      received.push(...page.events.map(({ id }) => id))
      if (page.lastEventId === ids.at(-1)) break
    }
    expect(received).toEqual(ids)
  })
})
