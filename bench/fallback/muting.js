import { setTimeout as pause } from 'node:timers/promises'
import { launchLighttpd, launchNginx, launchVarnish } from '../../support/proxies.js'
import { printTable } from '../lib/report.js'
import { MUTING, startGateway } from './network.js'
import { createCertificate, Trial } from './trial.js'

const PROXIES = {
  ...MUTING,
  'nginx, ignoring X-Accel-Buffering': (port) =>
    launchNginx(port, { location: 'proxy_ignore_headers X-Accel-Buffering;' }),
  'the same over HTTP/2': async (port) =>
    launchNginx(port, {
      listen: 'http2',
      location: 'proxy_ignore_headers X-Accel-Buffering;',
      tls: await createCertificate(),
    }),
  'varnish with do_gzip': (port) =>
    launchVarnish(port, { vcl: 'sub vcl_backend_response { set beresp.do_gzip = true; }' }),
  'lighttpd as installed': (port) => launchLighttpd(port),
  'Express gateway that compresses': startGateway,
}

/**
 * Runs sessions behind proxies that mute a stream, and prints how they were detected. Returns the number of faulty
 * ones.
 */
export async function measureMuting(redis, sessions) {
  const trial = await Trial.open({ redis })
  const fronts = []
  try {
    for (const [name, launch] of Object.entries(PROXIES))
      fronts.push({ name, ...(await started(launch, trial.port)) })
    const each = Math.max(1, Math.floor(sessions / fronts.length))
    const urls = fronts.flatMap(({ name, port }) => {
      const scheme = name.includes('HTTP/2') ? 'https' : 'http'
      return Array.from({ length: each }, (_, i) => `${scheme}://127.0.0.1:${port}/events/${i}`)
    })
    await trial.connect(urls)
    trial.publishEach(100)
    await trial.until(({ polling }, all) => polling === all)
    await pause(1000)
    const reports = await trial.finish()
    const rows = fronts.map(({ name, port }) =>
      rowOf(
        name,
        reports.filter(({ url }) => url.includes(`:${port}/`)),
      ),
    )
    console.log('Sessions behind proxies that mute a stream, and the time until they polled:\n')
    printTable(
      ['', 'sessions', 'detected', 'not exact', 'reasons', 'fastest, ms', 'median', 'slowest'],
      rows.map(({ cells }) => cells),
    )
    return rows.reduce((sum, { faults }) => sum + faults, 0)
  } finally {
    await trial.end()
    await Promise.all(fronts.map(({ end }) => end()))
  }
}

async function started(launch, port) {
  const front = await launch(port)
  return { port: front.port, end: () => front.end() }
}

function rowOf(name, reports) {
  const fallbacks = reports.flatMap(
    ({ transports }) => transports.find(({ transport }) => transport === 'json') ?? [],
  )
  const inexact = reports.filter(({ isExact }) => !isExact)
  for (const report of reports) {
    if (!report.isExact || !report.transports.some(({ transport }) => transport === 'json'))
      console.error(name, JSON.stringify(report))
  }
  const reasons = [...new Set(fallbacks.map(({ reason }) => reason))].join(', ')
  const times = fallbacks.map(({ after }) => after).sort((a, b) => a - b)
  const [fastest, median, slowest] = [0, times.length >> 1, times.length - 1].map((i) =>
    (times[i] ?? 0).toFixed(0),
  )
  return {
    faults: reports.length - fallbacks.length + inexact.length,
    cells: [name, reports.length, fallbacks.length, inexact.length, reasons, fastest, median, slowest],
  }
}
