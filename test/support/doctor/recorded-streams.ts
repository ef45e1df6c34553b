import { DELIVERY_CHECKS } from '../../../src/cli/doctor/checks/delivery-checks.ts'
import type { Evidence } from '../../../src/cli/doctor/evidence.ts'
import type { Finding } from '../../../src/cli/doctor/finding.ts'
import { type Chunks, type Recording, recorded } from '../recorded-exchange.ts'

/** The first bytes of a healthy stream. */
export const PREAMBLE: Chunks = [[6, ':\n\n']]

/** Returns the findings of the delivery checks. */
export function findingsOf(evidence: Evidence): Finding[] {
  return DELIVERY_CHECKS.flatMap((check) => check(evidence))
}

/** Returns the levels and codes of these findings. */
export function codesOf(evidence: Evidence): string[] {
  return findingsOf(evidence).map(({ code, level }) => `${level} ${code}`)
}

/** Returns chunks of a number of events, one after another. */
export function events(
  count: number,
  { from = 1, start = 600, interval = 500, text = (n: number) => `id: ${n}\ndata: ${n}\n\n` } = {},
): Chunks {
  return Array.from({ length: count }, (_, i) => [start + i * interval, text(from + i)] as const)
}

/** Returns a stream of events with ids, one by one. The first id arrives at once. */
export function steady(rest: Recording = {}) {
  const chunks: Chunks = [...PREAMBLE, [7, 'id: 0\ndata: 0\n\n'], ...events(10)]
  return recorded({ endedAt: 6_000, chunks, ...rest })
}

/** Returns a reconnect to the stream of `steady` with an id, 1 200 ms later. */
export function resumedAfter(id: string, rest: Recording = {}) {
  return recorded({ sentAt: 1_200, endedAt: 4_800, requestHeaders: { 'last-event-id': id }, ...rest })
}
