import type { ServerResponse } from 'node:http'
import { setTimeout as pause } from 'node:timers/promises'
import { expect, it, onTestFinished } from 'vitest'
import { deferred } from '../support/deferred.ts'
import { describeBehind } from '../support/proxies/describe-behind.ts'
import { ServedBehindProxy } from '../support/proxies/served-behind-proxy.ts'
import { STREAMING } from '../support/proxies/setups.ts'

// Each header of a stream is there because of a proxy. These tests state what the proxy does without the header.

const LONG_ENOUGH = 600

const named = (name: string) => STREAMING.filter((setup) => setup.name === name)

/** Opens an event stream without the headers of the library. */
async function openPlain(proxy: ServedBehindProxy, headers: Record<string, string> = {}) {
  const opened = deferred<ServerResponse>()
  const path = proxy.route((_request, response) => {
    response.writeHead(200, { 'Content-Type': 'text/event-stream', ...headers }).write(':\n')
    opened.resolve(response)
  })
  onTestFinished(() => void opened.promise.then((response) => response.destroy()))
  return { path, opened: opened.promise }
}

describeBehind(named('nginx'), 'a stream', (setup) => {
  const proxy = new ServedBehindProxy(setup)

  it('holds the response headers and all events without X-Accel-Buffering', async () => {
    const { path, opened } = await openPlain(proxy, { 'Cache-Control': 'no-cache, no-transform' })
    const response = proxy.get(path)
    ;(await opened).write('data: first\n\n')
    expect(await Promise.race([response, pause(LONG_ENOUGH, 'nothing')])).toBe('nothing')
    ;(await opened).end()
    await (await response).until('data: first\n\n')
  })
})

describeBehind(named('nginx with HTTP/1.1 to the server'), 'a stream', (setup) => {
  const proxy = new ServedBehindProxy(setup)

  it('holds the end of a large event without X-Accel-Buffering', async () => {
    const { path, opened } = await openPlain(proxy)
    const client = await proxy.get(path)
    ;(await opened).write(`data: ${'x'.repeat(9_000)}\n\n`)
    await client.until((body) => body.length > 1_000)
    await pause(LONG_ENOUGH)
    expect(client.length).toBeLessThan(9_000)
    ;(await opened).write('data: next\n\n')
    await client.until('x\n\n')
  })
})

describeBehind(named('haproxy with compression'), 'a stream', (setup) => {
  const proxy = new ServedBehindProxy(setup)

  it('holds each event until the next one without no-transform', async () => {
    const { path, opened } = await openPlain(proxy, { 'Cache-Control': 'no-cache' })
    const { client, encoding } = await proxy.getCompressed(path)
    expect(encoding).toBe('gzip')
    ;(await opened).write('data: first\n\n')
    await pause(LONG_ENOUGH)
    expect(client.body).not.toContain('first')
    ;(await opened).end('data: second\n\n')
    await client.until('second\n\n')
  })
})

describeBehind(named('varnish'), 'a stream', (setup) => {
  const proxy = new ServedBehindProxy(setup)

  it('passes the stream of the first client on to the second without no-cache', async () => {
    let requests = 0
    const path = proxy.route((_request, response) => {
      requests += 1
      response.writeHead(200, { 'Content-Type': 'text/event-stream', 'X-Accel-Buffering': 'no' })
      response.write(`data: for client ${requests}\n\n`)
      onTestFinished(() => void response.destroy())
    })
    const first = await proxy.get(path)
    await first.until('for client 1\n\n')
    const second = await proxy.get(path)
    await second.until('for client 1\n\n')
    expect(requests).toBe(1)
  })
})
