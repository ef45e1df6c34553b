import { describe, expect, it } from 'vitest'
import { launchHaproxy, launchLighttpd, launchNginx, launchVarnish } from '../../support/proxies.js'
import { measureLatency } from '../support/proxies/latency.ts'
import { samplesOf, withUpstream } from '../support/proxies/samples.ts'
import { ServedBehindProxy } from '../support/proxies/served-behind-proxy.ts'
import { isInstalled, type Program, type RunningProxy } from '../support/proxies/setups.ts'

/** Starts each proxy with lines of the page. */
const LAUNCH: Record<Program, (upstream: number, lines: string) => Promise<RunningProxy>> = {
  nginx: (upstream, lines) => launchNginx(upstream, { server: withUpstream(lines, upstream) }),
  haproxy: (upstream, defaults) => launchHaproxy(upstream, { defaults }),
  varnish: (upstream, vcl) => launchVarnish(upstream, { vcl }),
  lighttpd: (upstream, server) => launchLighttpd(upstream, { server }),
}

const programs = Object.keys(LAUNCH) as Program[]

const samples = programs.flatMap((program) =>
  samplesOf(program).map((lines, index) => ({ program, number: index + 1, lines })),
)

it('has a configuration of each proxy in docs/proxies.md', () => {
  expect(new Set(samples.map(({ program }) => program))).toEqual(new Set(programs))
})

describe.each(samples.filter(({ program }) => isInstalled(program)))(
  '$program with configuration $number of docs/proxies.md',
  ({ program, lines }) => {
    const proxy = new ServedBehindProxy({
      protocol: 'http',
      start: (upstream) => LAUNCH[program](upstream, lines),
    })

    it('passes each event on at once', async () => {
      const { client, stream } = await proxy.open()
      await measureLatency(stream, client)
    })

    it('passes each event on at once to a client that accepts compression', async () => {
      const { path, opened } = proxy.routeStreams()
      const { client } = await proxy.getCompressed(path)
      await measureLatency(await opened, client)
    })
  },
)
