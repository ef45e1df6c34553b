import { timeText } from './figures.ts'
import type { Report } from './finding.ts'

/** One difference between an endpoint behind a proxy and without it. */
export interface Difference {
  readonly kind: 'finding' | 'status' | 'protocol' | 'header' | 'time' | 'count'
  /** The code of the finding, the name of the header, or the property of the reports, for example `timeToHeaders`. */
  readonly name: string
  /** Behind the proxy. Undefined if it is missing there. */
  readonly proxied: string | undefined
  /** Without the proxy. Undefined if it is missing there. */
  readonly direct: string | undefined
}

// Times that differ by less may be due to the network. In ms.
const MIN_TIME_DIFFERENCE = 200

// Headers that differ between any two responses.
const VOLATILE = /^(date|age|expires|last-modified|etag|set-cookie|server-timing)$|(^|-)(id|ray|time|timer)$/

/** Returns what differs between two reports on one endpoint, the findings first. */
export function differencesOf(proxied: Report, direct: Report): Difference[] {
  return [
    ...findings(proxied, direct),
    ...difference('status', 'status', proxied.status?.toString(), direct.status?.toString()),
    ...difference('protocol', 'protocols', listOf(proxied.protocols), listOf(direct.protocols)),
    ...times(proxied, direct),
    ...counts(proxied, direct),
    ...headers(proxied, direct),
  ]
}

function difference(
  kind: Difference['kind'],
  name: string,
  proxied: string | undefined,
  direct: string | undefined,
): Difference[] {
  return proxied === direct ? [] : [{ kind, name, proxied, direct }]
}

function listOf(items: readonly string[]): string | undefined {
  return items.length > 0 ? items.join(', ') : undefined
}

function findings(proxied: Report, direct: Report): Difference[] {
  const messages = (report: Report) => new Map(report.findings.map(({ code, message }) => [code, message]))
  const [ofProxied, ofDirect] = [messages(proxied), messages(direct)]
  const codes = new Set([...ofProxied.keys(), ...ofDirect.keys()])
  return [...codes]
    .filter((code) => ofProxied.has(code) !== ofDirect.has(code))
    .map((name) => ({ kind: 'finding', name, proxied: ofProxied.get(name), direct: ofDirect.get(name) }))
}

function times(proxied: Report, direct: Report): Difference[] {
  const names = ['timeToHeaders', 'timeToFirstByte', 'longestSilence'] as const
  return names.flatMap((name) => {
    const [a, b] = [proxied[name], direct[name]]
    if (a === undefined && b === undefined) return []
    if (a !== undefined && b !== undefined && Math.abs(a - b) < MIN_TIME_DIFFERENCE) return []
    return [{ kind: 'time' as const, name, proxied: timeOf(a), direct: timeOf(b) }]
  })
}

function timeOf(ms: number | undefined): string | undefined {
  return ms === undefined ? undefined : timeText(ms)
}

function counts(proxied: Report, direct: Report): Difference[] {
  const names = ['events', 'comments'] as const
  return names
    .filter((name) => isOtherCount(proxied[name], direct[name]))
    .map((name) => ({ kind: 'count', name, proxied: `${proxied[name]}`, direct: `${direct[name]}` }))
}

// Tolerates one event, because the two streams begin and end at different moments.
function isOtherCount(a: number, b: number): boolean {
  return Math.abs(a - b) > Math.max(1, Math.max(a, b) / 4)
}

function headers(proxied: Report, direct: Report): Difference[] {
  // If one endpoint has not responded, each header would be a difference.
  if (proxied.status === undefined || direct.status === undefined) return []
  const names = [...new Set([...Object.keys(proxied.headers), ...Object.keys(direct.headers)])].sort()
  return names.flatMap((name) => {
    const [a, b] = [headerOf(proxied, name), headerOf(direct, name)]
    if (a !== undefined && b !== undefined && VOLATILE.test(name)) return []
    return difference('header', name, a, b)
  })
}

function headerOf({ headers }: Report, name: string): string | undefined {
  const value = Object.hasOwn(headers, name) ? headers[name] : undefined
  // The value may contain a session, and comparisons are often shown to others.
  return value !== undefined && name === 'set-cookie' ? '(hidden)' : value
}
