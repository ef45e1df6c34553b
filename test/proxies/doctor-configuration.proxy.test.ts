import type { RequestListener } from 'node:http'
import { describe, expect, it, onTestFinished } from 'vitest'
import { configurationOf } from '../../src/cli/doctor/configuration.ts'
import { proxiesIn } from '../../src/cli/doctor/proxies.ts'
import { launchHaproxy, launchLighttpd, launchNginx, launchVarnish } from '../../support/proxies.js'
import type { Client } from '../support/client.ts'
import { measureLatency } from '../support/proxies/latency.ts'
import { withUpstream } from '../support/proxies/samples.ts'
import { ServedBehindProxy } from '../support/proxies/served-behind-proxy.ts'
import { isInstalled, type Program, type RunningProxy } from '../support/proxies/setups.ts'

/** Starts each proxy with the lines that the doctor prints. */
const LAUNCH: Record<Program, (upstream: number, lines: string) => Promise<RunningProxy>> = {
  nginx: (upstream, lines) => launchNginx(upstream, { server: withUpstream(lines, upstream) }),
  haproxy: (upstream, defaults) => launchHaproxy(upstream, { defaults: `${defaults}\n` }),
  varnish: (upstream, vcl) => launchVarnish(upstream, { vcl }),
  lighttpd: (upstream, server) => launchLighttpd(upstream, { server }),
}

const programs = (Object.keys(LAUNCH) as Program[]).filter(isInstalled)

interface NaiveStream {
  send(event: { data: string }): void
}

/** Responds as a server that sends none of the headers by which a proxy recognizes a stream, except the type. */
function respondWith(onStream: (stream: NaiveStream) => void): RequestListener {
  return (_request, response) => {
    response.writeHead(200, { 'Content-Type': 'text/event-stream' }).write(':\n\n')
    onTestFinished(() => void response.destroy())
    onStream({ send: ({ data }) => void response.write(`data: ${data}\n\n`) })
  }
}

describe.each(programs)('%s with the lines that the doctor prints', (program) => {
  const proxy = new ServedBehindProxy({
    protocol: 'http',
    start: (upstream) => LAUNCH[program](upstream, configurationOf(program)?.lines ?? ''),
  })

  it('passes each event of a server without further headers on at once, to each client its own', async () => {
    const streams: NaiveStream[] = []
    const path = proxy.route(respondWith((stream) => streams.push(stream)))
    const clients = [await proxy.get(path), await proxy.get(path)]
    await Promise.all(clients.map((client) => client.until(':\n\n')))
    expect(streams).toHaveLength(2)
    const [stream, other] = streams as [NaiveStream, NaiveStream]
    const [client, second] = clients as [Client, Client]
    await measureLatency(stream, client)
    other.send({ data: 'of the second' })
    await second.until('data: of the second\n\n')
    expect(second.body).toBe(':\n\ndata: of the second\n\n')
  })

  it('is named by its response headers, except haproxy', async () => {
    const path = proxy.route(respondWith(() => {}))
    const { headers } = await proxy.get(path)
    const names = proxiesIn(headers as Record<string, string>)
    // A stream that is piped has the headers of the server only.
    expect(names).toEqual(['haproxy', 'varnish'].includes(program) ? [] : [program])
  })
})
