import { describe, expect, it } from 'vitest'
import { sse } from '../../src/adapters/web.ts'
import type { Hub } from '../../src/hub/hub.ts'
import { logKinds } from '../support/broker-logs.ts'

const shared = logKinds().filter(({ isShared }) => isShared)

interface Page {
  readonly body: string
  readonly tag: string | null
  readonly cache: string | null
  readonly events: Array<{ id: string; event: string }>
  readonly lastEventId: string
}

const DATA = ['text', 'é\u2028\r\n', { value: 1, text: 'é' }, 7, new Date(0), null]

/** Returns a function that polls the public channel of a hub. */
function poller(hub: Hub, pageSize: number) {
  const news = hub.channel('news', { cache: 'public' })
  const respond = sse((stream) => news.subscribe(stream), { formats: ['json'], longPoll: { pageSize } })
  return async (lastEventId: string, hold = 0): Promise<Page> => {
    const url = `http://127.0.0.1/?format=json&hold=${hold}&lastEventId=${lastEventId}`
    const { headers, ...response } = await respond(new Request(url)).then(async (response) => ({
      headers: response.headers,
      body: await response.text(),
    }))
    const page = { tag: headers.get('etag'), cache: headers.get('cache-control') }
    return { ...page, ...response, ...JSON.parse(response.body) }
  }
}

/** Polls from an id to the end of the log. Returns the pages that a cache keeps forever, by their cursor. */
async function fullPages(hub: Hub, from: string, pageSize = 3): Promise<Map<string, Page>> {
  const poll = poller(hub, pageSize)
  const pages = new Map<string, Page>()
  for (let cursor = from; ; ) {
    const page = await poll(cursor)
    if (page.tag) pages.set(cursor, page)
    if (page.events.length === 0) return pages
    cursor = page.lastEventId
  }
}

/** Publishes events in turn on several hubs, between those of another channel. Resolves with their ids. */
async function publish(hubs: readonly Hub[], count: number): Promise<string[]> {
  const ids: string[] = []
  for (let index = 0; index < count; index++) {
    const hub = hubs[index % hubs.length] as Hub
    ids.push(await hub.channel('news').publish({ event: `e${index}`, data: DATA[index % DATA.length] }))
    if (index % 2) await hub.channel('other').publish({ data: index })
  }
  return ids
}

async function delivered(hubs: readonly Hub[], id: string): Promise<void> {
  for (const { _store: store } of hubs)
    await expect.poll(() => store.compare?.(store.position, id)).toBeGreaterThanOrEqual(0)
}

describe.each(shared)('the pages of a public channel on $name', ({ newLog }) => {
  it('are the same of each process, also after a restart', async () => {
    const openHub = newLog({ recentEvents: 10 })
    const hubs = [await openHub(), await openHub()]
    const ids = await publish(hubs, 40)
    await delivered(hubs, ids.at(-1) as string)
    const restarted = await openHub()
    const [pages, ...others] = await Promise.all(
      [...hubs, restarted].map((hub) => fullPages(hub, ids[0] as string)),
    )
    expect(pages?.size).toBe(13)
    for (const other of others) expect(other).toEqual(pages)
  })

  it('have different tags if their events are different, whatever the size of a page and however old they are', async () => {
    const openHub = newLog({ maxEvents: 50, recentEvents: 10 })
    const hubs = [await openHub(), await openHub()]
    const bodies = new Map<string, string>()
    const check = ({ tag, body, cache, events }: Page) => {
      expect([cache, events.some(({ event }) => event === 'gap')]).toEqual([
        expect.stringContaining('immutable'),
        false,
      ])
      expect(bodies.get(tag as string) ?? body).toBe(body)
      bodies.set(tag as string, body)
    }
    const checkAll = async (from: string) => {
      for (const hub of hubs)
        for (const size of [2, 3, 4])
          for (const page of (await fullPages(hub, from, size)).values()) check(page)
    }
    const ids = await publish(hubs, 20)
    await delivered(hubs, ids.at(-1) as string)
    for (const from of ids) await checkAll(from)
    // Pages of live events.
    const held = hubs.map((hub) => poller(hub, 2)(ids.at(-1) as string, 25_000))
    await expect.poll(() => hubs.map(({ size }) => size)).toEqual([1, 1])
    const live = await publish(hubs, 2)
    for (const page of await Promise.all(held)) if (page.tag) check(page)
    await delivered(hubs, live.at(-1) as string)
    await checkAll(ids.at(-1) as string)
    const count = bodies.size
    // Evicts the first events.
    await delivered(hubs, (await publish(hubs, 100)).at(-1) as string)
    for (const from of ids) {
      for (const hub of hubs) {
        const page = await poller(hub, 3)(from)
        if (page.tag) check(page)
        else expect([page.events.at(-1)?.event, page.cache]).toEqual(['gap', 'private, no-store'])
      }
    }
    expect(count).toBeGreaterThan(20)
  })
})
