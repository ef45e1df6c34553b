import { describe, expect, it } from 'vitest'
import { Hub } from '../../src/hub/hub.ts'
import { ServedBehindProxy } from '../support/proxies/served-behind-proxy.ts'
import { BUFFERING, COMPRESSING, DELAYING, STREAMING } from '../support/proxies/setups.ts'

const SETUPS = [...STREAMING, ...BUFFERING, DELAYING, ...COMPRESSING]

// The proxies wait at the same time, because a poll is held for 25 s by default.
describe('a long poll without an event', () => {
  const proxies = SETUPS.filter(({ isInstalled }) => isInstalled).map((setup) => ({
    name: setup.name,
    proxy: new ServedBehindProxy(setup),
  }))

  it('is held to its end, and gets an empty page', async () => {
    const news = new Hub().channel('news')
    const cursor = await news.publish({ data: 'before' })
    const headers = { accept: 'application/json' }
    const polls = proxies.map(async ({ name, proxy }) => {
      const { path } = proxy.routeStreams({ formats: ['event-stream', 'json'] }, (stream) =>
        news.subscribe(stream),
      )
      const client = await proxy.get(`${path}?format=json&lastEventId=${cursor}`, { headers })
      return { name, status: client.status, end: await client.ended, body: client.body }
    })
    const body = `${JSON.stringify({ events: [], lastEventId: cursor, retry: 0 })}\n`
    expect(await Promise.all(polls)).toEqual(
      proxies.map(({ name }) => ({ name, status: 200, end: 'end', body })),
    )
  })
})
