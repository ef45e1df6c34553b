import { finding } from '../catalog.ts'
import type { Check } from './check.ts'
import { inMs, isStream, longestSilence } from './streams.ts'

/** How long a proxy keeps a silent stream by default, in ms. In ascending order. */
const IDLE_LIMITS: ReadonlyArray<readonly [limit: number, proxies: string]> = [
  [30_000, 'h2o'],
  [31_000, 'Apache Traffic Server'],
  [50_000, 'haproxy as Debian configures it'],
  [60_000, 'nginx, apache, varnish, nghttpx and AWS load balancers'],
  [100_000, 'Cloudflare'],
  [361_000, 'lighttpd'],
]

// Longer than the heartbeat intervals of most servers, and shorter than the default time of an examination. In ms.
const LONG_SILENCE = 16_000
// Longer than the interval of 25 s, which all proxies allow. In ms.
const MAX_INTERVAL = 26_000

export const slowHeartbeat: Check = ({ exchanges: { main } }) => {
  const silence = isStream(main) ? longestSilence(main) : 0
  const [nearest] = IDLE_LIMITS
  if (!nearest || silence < nearest[0]) return []
  const closers = IDLE_LIMITS.filter(([limit]) => limit <= silence)
  const names = closers.map(([limit, proxies]) => `${proxies} (${limit / 1_000} s)`).join(', ')
  // The limit of the proxies that are used most.
  const level = silence >= 60_000 ? 'problem' : 'warning'
  return [
    finding('slow-heartbeat', `Nothing arrived for ${inMs(silence)}. This is too long for ${names}.`, level),
  ]
}

export const noHeartbeat: Check = (evidence) => {
  const { main } = evidence.exchanges
  // A stream without any byte has a finding of its own.
  if (!isStream(main) || main.firstByteAt === undefined || slowHeartbeat(evidence).length > 0) return []
  const silence = main.endedAt - (main.arrivals.at(-1)?.at ?? main.endedAt)
  // The stream was silent for as long before, and then sent something.
  if (silence < LONG_SILENCE || longestSilence(main) > silence) return []
  const level = silence >= MAX_INTERVAL ? 'warning' : 'note'
  return [finding('no-heartbeat', `Nothing arrived for ${inMs(silence)}, not even a heartbeat.`, level)]
}
