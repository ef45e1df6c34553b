import type { RequestListener } from 'node:http'
import { expect, it } from 'vitest'
import { examine } from '../../src/cli/doctor/examine.ts'
import type { Report } from '../../src/cli/doctor/finding.ts'
import { Hub } from '../../src/hub/hub.ts'
import { launchHaproxy, launchLighttpd, launchNginx, launchVarnish } from '../../support/proxies.js'
import { Feed, textOf } from '../support/doctor/feed.ts'
import { describeBehind } from '../support/proxies/describe-behind.ts'
import { ServedBehindProxy } from '../support/proxies/served-behind-proxy.ts'
import { DELAYING, isInstalled, type ProxySetup, STREAMING } from '../support/proxies/setups.ts'

const TIMEOUT = 9_000

/** The codes of a report, without notes. */
function codesOf({ findings }: Report): string[] {
  return findings.filter(({ level }) => level !== 'note').map(({ code }) => code)
}

/** Returns a server that sends only the type of a stream. */
function naive(feed: Feed): RequestListener {
  return ({ method, headers }, response) => {
    response.writeHead(200, { 'Content-Type': 'text/event-stream' })
    if (method === 'HEAD') {
      response.end()
      return
    }
    response.flushHeaders()
    for (const event of feed.after(String(headers['last-event-id'] ?? ''))) response.write(textOf(event))
    response.on(
      'close',
      feed.listen((event) => response.write(textOf(event))),
    )
  }
}

function routeNews(proxy: ServedBehindProxy): string {
  const hub = new Hub()
  const stop = new Feed().listen(({ data }) => void hub.channel('news').publish({ data }))
  const { path, subscribed } = proxy.routeNews(hub, { formats: ['event-stream'] })
  void subscribed.then((stream) => stream.once('close', stop))
  return proxy.url(path)
}

// A browser does not use HTTP/2 without TLS.
const OF_BROWSERS = STREAMING.filter(({ protocol }) => protocol !== 'h2c')

describeBehind(OF_BROWSERS, 'the doctor', (setup) => {
  const proxy = new ServedBehindProxy(setup)

  it('finds no problem and no warning in a stream of the library', async () => {
    const report = await examine(routeNews(proxy), { timeout: TIMEOUT, insecure: true })
    expect(report.findings.filter(({ level }) => level !== 'note')).toEqual([])
    expect(report.protocols).toEqual(setup.protocol === 'h2' ? ['HTTP/1.1', 'HTTP/2'] : ['HTTP/1.1'])
    expect(report.events).toBeGreaterThan(5)
  })
})

describeBehind([DELAYING], 'the doctor', (setup) => {
  const proxy = new ServedBehindProxy(setup)

  it('finds that each event is 200 ms late', async () => {
    // A busy machine adds delays of its own at times.
    await expect
      .poll(async () => codesOf(await examine(routeNews(proxy), { timeout: 4_000 })), { timeout: 50_000 })
      .toEqual(['delayed'])
  })
})

const HOLDING: ReadonlyArray<
  Pick<ProxySetup, 'name' | 'isInstalled' | 'protocol' | 'start'> & { code: string }
> = [
  {
    name: 'nginx',
    protocol: 'http',
    isInstalled: isInstalled('nginx'),
    start: (upstream) => launchNginx(upstream),
    code: 'no-response-headers',
  },
  {
    name: 'lighttpd',
    protocol: 'http',
    isInstalled: isInstalled('lighttpd'),
    start: (upstream) => launchLighttpd(upstream),
    code: 'no-response-headers',
  },
  {
    name: 'haproxy with compression',
    protocol: 'http',
    isInstalled: isInstalled('haproxy'),
    start: (upstream) =>
      launchHaproxy(upstream, {
        defaults: 'option http-no-delay\n  compression algo gzip\n  compression type text/event-stream',
      }),
    code: 'compressed-held',
  },
  {
    name: 'varnish with gzip for event streams',
    protocol: 'http',
    isInstalled: isInstalled('varnish'),
    start: (upstream) =>
      launchVarnish(upstream, { vcl: 'sub vcl_backend_response { set beresp.do_gzip = true; }' }),
    code: 'compressed-held',
  },
]

describeBehind(HOLDING, 'the doctor', (setup) => {
  const proxy = new ServedBehindProxy(setup)

  it('finds that the stream of a server without further headers is held', async () => {
    const report = await examine(proxy.url(proxy.route(naive(new Feed()))), { timeout: TIMEOUT })
    console.log(`${setup.name}: ${report.findings.map(({ message }) => message).join(' ')}`)
    expect(codesOf(report)).toContain(setup.code)
  })
})

const CACHING = STREAMING.filter(({ name }) => name === 'varnish')

describeBehind(CACHING, 'the doctor', (setup) => {
  const proxy = new ServedBehindProxy(setup)

  it('finds that a second reader gets the stream of the first one without Cache-Control', async () => {
    const report = await examine(proxy.url(proxy.route(naive(new Feed()))), { timeout: TIMEOUT })
    expect(codesOf(report)).toContain('cached')
  })
})
