import { setTimeout as pause } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { Hub } from '../../src/hub/hub.ts'
import { fallbackContract, streamingContract } from '../support/proxies/client-contract.ts'
import { ClientSession, openInNode } from '../support/proxies/client-session.ts'
import { ServedBehindProxy } from '../support/proxies/served-behind-proxy.ts'
import { BUFFERING, DELAYING, STREAMING } from '../support/proxies/setups.ts'

// The `fetch` of Node.js has no HTTP/2.
const isHttp1 = (setup: { protocol: string }) => setup.protocol === 'http'

streamingContract([...STREAMING, DELAYING].filter(isHttp1), openInNode)
fallbackContract(BUFFERING.filter(isHttp1), openInNode)

describe('clients of quiet streams', () => {
  const testable = [...STREAMING, DELAYING].filter((setup) => isHttp1(setup) && setup.isInstalled)
  const proxies = testable.map((setup) => ({
    name: setup.name,
    proxy: new ServedBehindProxy(setup),
  }))

  // The clients wait at the same time. Their watchdogs notice a stream without heartbeats after 5 s.
  it('keep the stream while only heartbeats arrive', async () => {
    const sessions = proxies.map(async ({ name, proxy }) => {
      const news = new Hub().channel('news')
      const position = await news.publish({ data: 'before' })
      const { path } = proxy.routeStreams({ heartbeat: 2_000 }, (stream) => news.subscribe(stream))
      const session = new ClientSession()
      openInNode(proxy.url(path), position, session)
      await pause(12_000)
      await news.publish({ data: 'after' })
      await session.until(() => session.received.length > 0)
      return { name, transports: session.transports, received: session.received }
    })
    const transports = [{ transport: 'event-stream', reason: undefined }]
    expect(await Promise.all(sessions)).toEqual(
      proxies.map(({ name }) => ({ name, transports, received: ['after'] })),
    )
  })
})
