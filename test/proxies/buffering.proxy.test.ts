import { once } from 'node:events'
import http from 'node:http'
import { setTimeout as pause } from 'node:timers/promises'
import { expect, it } from 'vitest'
import { Hub } from '../../src/hub/hub.ts'
import { ClientSession, openInNode } from '../support/proxies/client-session.ts'
import { describeBehind } from '../support/proxies/describe-behind.ts'
import { measureLatency } from '../support/proxies/latency.ts'
import { ServedBehindProxy } from '../support/proxies/served-behind-proxy.ts'
import { BUFFERING, DECOMPRESSING, DELAYING, NOT_DECOMPRESSING } from '../support/proxies/setups.ts'

// These tests state what proxies do that only their configuration can change. If one of them fails with a new version
// of a proxy, the documentation needs a change.

// A proxy that streams passes an event on within milliseconds.
const LONG_ENOUGH = 600

describeBehind(BUFFERING, 'a stream', (setup) => {
  const proxy = new ServedBehindProxy(setup)

  it('holds all events until the end of the stream', async () => {
    const { path, opened } = proxy.routeStreams()
    const response = proxy.getCompressed(path)
    const firstBytes = response.then(async ({ client }) => {
      await client.until((body) => body !== '')
      return 'bytes'
    })
    const stream = await opened
    stream.send({ data: 'first' })
    await pause(LONG_ENOUGH / 2)
    stream.send({ data: 'second' })
    expect(await Promise.race([firstBytes, pause(LONG_ENOUGH, 'nothing')])).toBe('nothing')
    stream.close()
    const { client } = await response
    expect(await client.ended).toBe('end')
    expect(client.body).toMatch(/data: first\n\ndata: second\n\n$/)
  })
})

describeBehind([DELAYING], 'a stream', (setup) => {
  const proxy = new ServedBehindProxy(setup)

  it('passes each event on about 200 ms late', async () => {
    const { client, stream } = await proxy.open()
    await client.until('retry: ')
    for (let event = 0; event < 5; event++) {
      const sentAt = performance.now()
      stream.send({ data: `event ${event}` })
      await client.until(`data: event ${event}\n\n`)
      expect(performance.now() - sentAt).toBeGreaterThan(100)
    }
  })
})

describeBehind(DECOMPRESSING, 'a compressed stream', (setup) => {
  const proxy = new ServedBehindProxy(setup)

  it('is held until its end for a client that does not accept gzip', async () => {
    const { path, opened } = proxy.routeStreams({ compress: true })
    const response = proxy.get(path)
    const stream = await opened
    stream.send({ data: 'first' })
    expect(await Promise.race([response, pause(LONG_ENOUGH, 'nothing')])).toBe('nothing')
    stream.close()
    const client = await response
    expect(await client.ended).toBe('end')
    expect(client.body).toMatch(/data: first\n\n$/)
  })
})

describeBehind([NOT_DECOMPRESSING], 'a compressed stream', (setup) => {
  const proxy = new ServedBehindProxy(setup)

  it('passes each event on at once to any client', async () => {
    const plain = await proxy.open({ compress: true })
    await measureLatency(plain.stream, plain.client)
    const { path, opened } = proxy.routeStreams({ compress: true })
    const { client, encoding } = await proxy.getCompressed(path)
    expect(encoding).toBe('gzip')
    await measureLatency(await opened, client)
  })
})

// A client that polls instead leaves such a stream open at the server.
const UNAWARE = ['lighttpd', 'varnish with gzip for event streams']
const unaware = BUFFERING.filter(({ name }) => UNAWARE.includes(name))

describeBehind(unaware, 'a stream that is held', (setup) => {
  const proxy = new ServedBehindProxy(setup)

  it('remains open after the disconnect of its client, until maxDuration', async () => {
    const { path, opened } = proxy.routeStreams({ heartbeat: 200, maxDuration: 3_000 })
    const request = http.get(proxy.url(path), { headers: { accept: 'text/event-stream' } })
    request.on('error', () => {})
    const stream = await opened
    const closed = once(stream, 'close')
    request.destroy()
    const [reason] = await closed
    expect(reason).toBe('expired')
  })

  it('remains open after a client has fallen back, until maxDuration', async () => {
    const news = new Hub().channel('news')
    const position = await news.publish({ data: 'before' })
    const reasons: Array<Promise<string>> = []
    const options = { formats: ['event-stream', 'json'], heartbeat: 200, maxDuration: 6_000 } as const
    const { path } = proxy.routeStreams(options, (stream) => {
      news.subscribe(stream)
      if (stream.format === 'event-stream') reasons.push(once(stream, 'close').then(([reason]) => reason))
    })
    const session = new ClientSession()
    openInNode(proxy.url(path), position, session)
    await session.until(() => session.transports.length > 0)
    expect(session.transports[0]?.transport).toBe('json')
    expect(new Set(await Promise.all(reasons))).toEqual(new Set(['expired']))
  })
})
