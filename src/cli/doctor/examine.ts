import { DELIVERY_CHECKS } from './checks/delivery-checks.ts'
import { RESPONSE_CHECKS } from './checks/response-checks.ts'
import { longestSilence } from './checks/streams.ts'
import type { Evidence } from './evidence.ts'
import type { Exchange } from './exchange.ts'
import { type Finding, LEVELS, type Report } from './finding.ts'
import { gather } from './gather.ts'
import { checkExamineOptions, type ExamineOptions } from './options.ts'
import { proxiesIn } from './proxies.ts'

/**
 * Examines an event stream as browsers, programs and proxies receive it. It sends up to fifteen requests, some of
 * which stay open for up to 18 s.
 *
 * Rejects with `UsageError` `ERR_SSE_USAGE` if the endpoint cannot be examined at all, for example after a wrong URL, a
 * refused connection or a TLS error, and with `SseError` `ERR_SSE_OPTION`.
 */
export async function examine(url: string | URL, options: ExamineOptions = {}): Promise<Report> {
  checkExamineOptions(options)
  const startedAt = new Date().toISOString()
  const start = performance.now()
  const evidence = await gather(url, options)
  return reportOf(evidence, startedAt, performance.now() - start)
}

/** Returns the report on evidence. Times in ms. The order of checks is that of findings of one level. */
export function reportOf(evidence: Evidence, startedAt: string, duration: number): Report {
  const { url, exchanges } = evidence
  const { status, headers, headersAt, firstByteAt, events, comments } = exchanges.main
  return {
    url: url.href,
    startedAt,
    duration,
    protocols: protocolsOf(Object.values(exchanges)),
    status,
    headers: Object.fromEntries(headers),
    proxies: proxiesOf(exchanges),
    timeToHeaders: headersAt,
    timeToFirstByte: firstByteAt,
    events: events.length,
    comments: comments.length,
    longestSilence: headersAt === undefined ? undefined : longestSilence(exchanges.main),
    findings: sorted([...RESPONSE_CHECKS, ...DELIVERY_CHECKS].flatMap((check) => check(evidence))),
  }
}

/** Returns the proxies that the first response names, which may be that to HEAD if a proxy holds streams. */
function proxiesOf(exchanges: Evidence['exchanges']): string[] {
  const responses = [exchanges.main, ...Object.values(exchanges)]
  const first = responses.find(({ status }) => status !== undefined)
  return first ? proxiesIn(Object.fromEntries(first.headers)) : []
}

function protocolsOf(exchanges: readonly Exchange[]): Report['protocols'] {
  const responded = exchanges.filter(({ status }) => status !== undefined)
  return [...new Set(responded.map(({ protocol }) => protocol))].sort()
}

function sorted(findings: readonly Finding[]): Finding[] {
  return findings.toSorted((a, b) => LEVELS.indexOf(a.level) - LEVELS.indexOf(b.level))
}
