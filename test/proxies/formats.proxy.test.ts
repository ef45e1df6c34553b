import { expect, it } from 'vitest'
import { Hub } from '../../src/hub/hub.ts'
import { describeBehind } from '../support/proxies/describe-behind.ts'
import { ServedBehindProxy } from '../support/proxies/served-behind-proxy.ts'
import { BUFFERING, DELAYING, STREAMING } from '../support/proxies/setups.ts'

describeBehind([...STREAMING, ...BUFFERING, DELAYING], 'a long poll', (setup) => {
  const proxy = new ServedBehindProxy(setup)

  async function poll(path: string, lastEventId?: string) {
    const cursor = lastEventId === undefined ? '' : `&lastEventId=${lastEventId}`
    const headers = { accept: 'application/json' }
    const client = await proxy.get(`${path}?format=json${cursor}`, { headers })
    expect([client.status, await client.ended]).toEqual([200, 'end'])
    expect(client.headers['content-type']).toBe('application/json')
    return JSON.parse(client.body)
  }

  it('is held until there is an event, and continues after its cursor', async () => {
    const hub = new Hub()
    const { path, subscribed } = proxy.routeNews(hub)
    const first = poll(path)
    await subscribed
    const id = await hub.channel('news').publish({ data: 'live' })
    expect(await first).toEqual({
      events: [{ event: 'message', id, data: 'live' }],
      lastEventId: id,
      retry: 0,
    })
    const data = 'x'.repeat(100_000)
    const lastEventId = await hub.channel('news').publish({ data })
    expect(await poll(path, id)).toEqual({
      events: [{ event: 'message', id: lastEventId, data }],
      lastEventId,
      retry: 0,
    })
  })

  it('delivers the next event to each of several clients with the same cursor', async () => {
    const hub = new Hub()
    const cursor = await hub.channel('news').publish({ data: 'before' })
    const { path, subscribed } = proxy.routeNews(hub)
    const polls = [1, 2, 3].map(() => poll(path, cursor))
    await subscribed
    const id = await hub.channel('news').publish({ data: 'next' })
    const page = { events: [{ event: 'message', id, data: 'next' }], lastEventId: id, retry: 0 }
    expect(await Promise.all(polls)).toEqual([page, page, page])
  })
})

describeBehind(STREAMING, 'NDJSON', (setup) => {
  const proxy = new ServedBehindProxy(setup)

  it('delivers each event before the next one, also a large one', async () => {
    const hub = new Hub()
    const { path } = proxy.routeNews(hub)
    const client = await proxy.get(path, { headers: { accept: 'application/x-ndjson' } })
    expect(client.headers['content-type']).toContain('application/x-ndjson')
    for (const size of [1, 10, 9_000, 70_000]) {
      const data = 'x'.repeat(size)
      const id = await hub.channel('news').publish({ data })
      await client.until(`{"event":"message","id":"${id}","data":"${data}"}\n`)
    }
  })
})
