import { expect, it, onTestFinished } from 'vitest'
import { Hub } from '../../../src/hub/hub.ts'
import { ClientSession, type OpenClient } from './client-session.ts'
import { describeBehind } from './describe-behind.ts'
import { ServedBehindProxy } from './served-behind-proxy.ts'
import type { ProxySetup } from './setups.ts'

// More than are published until a client falls back.
const EVENTS = 30
const INTERVAL = 100
const STREAMED = 10

const eventsOf = (count: number) => Array.from({ length: count }, (_, i) => `event ${i}`)

/** Serves a channel behind a proxy. Returns its URL, and the position before the first event. */
async function serveNews(proxy: ServedBehindProxy) {
  const hub = new Hub()
  const news = hub.channel('news')
  const position = await news.publish({ data: 'before' })
  return { news, position, url: proxy.url(proxy.routeNews(hub).path) }
}

/** Tests that a client streams behind proxies that do not buffer a stream. */
export function streamingContract(setups: readonly ProxySetup[], open: OpenClient): void {
  describeBehind(setups, 'a client', (setup) => {
    const proxy = new ServedBehindProxy(setup)

    it('streams, and receives each event once and before the next one', async () => {
      const { news, position, url } = await serveNews(proxy)
      const session = new ClientSession()
      await open(url, position, session)
      for (const [i, data] of eventsOf(STREAMED).entries()) {
        await news.publish({ data })
        await session.until(() => session.received.length > i)
      }
      expect(session.received).toEqual(eventsOf(STREAMED))
      expect(session.transports).toEqual([{ transport: 'event-stream', reason: undefined }])
    })
  })
}

/** Tests that a client polls behind proxies that buffer a stream. */
export function fallbackContract(setups: readonly ProxySetup[], open: OpenClient): void {
  describeBehind(setups, 'a client', (setup) => {
    const proxy = new ServedBehindProxy(setup)

    it('falls back to the long poll, and receives each event once', async () => {
      const { news, position, url } = await serveNews(proxy)
      const session = new ClientSession()
      await open(url, position, session)
      const startedAt = performance.now()
      const data = eventsOf(EVENTS).values()
      const timer = setInterval(() => {
        const { done, value } = data.next()
        if (done) clearInterval(timer)
        else void news.publish({ data: value })
      }, INTERVAL)
      onTestFinished(() => clearInterval(timer))
      await session.until(() => session.transports.length > 0)
      const time = performance.now() - startedAt
      await session.until(() => session.received.length >= EVENTS)
      expect(session.received).toEqual(eventsOf(EVENTS))
      const reason = expect.stringMatching(/^no-(headers|first-byte)$/)
      expect(session.transports).toEqual([{ transport: 'json', reason }])
      console.log(`${setup.name}: ${session.transports[0]?.reason}, polls after ${time.toFixed(0)} ms`)
    })
  })
}
