import { finding } from '../../src/cli/doctor/catalog.ts'
import type { Report } from '../../src/cli/doctor/finding.ts'

/** Returns a report on a healthy stream, except as given. */
export function reportWith(given: Partial<Report> = {}): Report {
  return {
    url: 'https://example.org/events',
    startedAt: '2026-01-02T03:04:05.678Z',
    duration: 18_012.4,
    protocols: ['HTTP/1.1', 'HTTP/2'],
    status: 200,
    headers: { 'content-type': 'text/event-stream' },
    proxies: [],
    timeToHeaders: 12.3,
    timeToFirstByte: 1234.5,
    events: 3,
    comments: 1,
    longestSilence: 15_000,
    findings: [],
    ...given,
  }
}

/** Returns a finding whose message is of a server. */
export const findingWith = (message: string) => finding('status', message)
