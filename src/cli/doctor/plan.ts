import type { ProbeName } from './evidence.ts'
import type { Exchange } from './exchange.ts'
import type { Target } from './requests.ts'

type Exchanges = Readonly<Partial<Record<ProbeName, Exchange>>>

/** The probes that are open as long as `main`. */
const WATCHED: readonly ProbeName[] = ['main', 'identity', 'second', 'http2']

/** Returns the probes that are sent when `main` has responded. */
export function probesBeside({ data, origin }: Pick<Target, 'data' | 'origin'>): ProbeName[] {
  const cross: ProbeName[] = origin === undefined ? [] : ['crossOrigin', 'preflight']
  if (data !== undefined) return ['identity', 'anyAccept', 'llmAccept', ...cross]
  return ['identity', 'anyAccept', 'llmAccept', 'head', 'ndjson', 'longPoll', ...cross]
}

/** The probes that are sent when `main` has received ids. */
export const PROBES_WITH_IDS: readonly ProbeName[] = ['resume', 'resumeLast', 'unknownId']

// How long a probe stays open, in ms since its request, and since its response headers.
const LIMITS: Readonly<Partial<Record<ProbeName, { readonly whole: number; readonly body: number }>>> = {
  anyAccept: { whole: 5_000, body: 300 },
  llmAccept: { whole: 5_000, body: 300 },
  crossOrigin: { whole: 5_000, body: 300 },
  head: { whole: 5_000, body: 2_000 },
  preflight: { whole: 5_000, body: 2_000 },
  resume: { whole: 8_000, body: 4_000 },
  resumeLast: { whole: 8_000, body: 4_000 },
  unknownId: { whole: 8_000, body: 4_000 },
  reconnect: { whole: 5_000, body: 1_000 },
  ndjson: { whole: 5_000, body: 1_000 },
}

/** Whether a probe has been open long enough, at a time since its request. */
export function isEnough(name: ProbeName, { headersAt }: Exchange, now: number): boolean {
  const limit = LIMITS[name]
  if (!limit) return false
  return now >= limit.whole || (headersAt !== undefined && now - headersAt >= limit.body)
}

// A stream of several events needs less time than heartbeats.
const MIN_TIME = 5_000
const MIN_MOMENTS = 6
const MIN_DISTANCE = 50
// Events at the beginning of a stream do not show its usual interval. In ms.
const BEGINNING = 500
// A stream that is silent for longer, and for several times as long as before, may have stopped. In ms.
const MIN_QUIET_TIME = 1_000

/**
 * Whether a stream, and the streams beside it, have shown that events arrive one by one. `now` in ms since its request.
 */
export function isJudged(exchanges: Exchanges, now: number): boolean {
  if (now < MIN_TIME) return false
  return WATCHED.every((name) => {
    const exchange = exchanges[name]
    return exchange?.end !== 'open' || hasSteadyEvents(exchange)
  })
}

function hasSteadyEvents({ events, endedAt }: Exchange): boolean {
  const [first] = events
  const later = events.filter(({ at }) => at > (first?.at ?? 0) + BEGINNING)
  const moments = later.filter(({ at }, i) => at - (later[i - 1]?.at ?? 0) > MIN_DISTANCE)
  const gaps = moments.map(({ at }, i) => at - (moments[i - 1]?.at ?? at))
  const silence = endedAt - (events.at(-1)?.at ?? 0)
  const isGoingOn = silence <= Math.max(MIN_QUIET_TIME, 2 * Math.max(...gaps))
  return moments.length >= MIN_MOMENTS && later.length < moments.length * 1.2 && isGoingOn
}

/** Whether a probe must be done before an examination ends early. */
export function isAwaited(name: ProbeName): boolean {
  return name in LIMITS
}
