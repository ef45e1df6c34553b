import { describe, expect, test } from 'vitest'
import { finding } from '../../../src/cli/doctor/catalog.ts'
import { reportText } from '../../../src/cli/doctor/report-text.ts'
import { paintFor } from '../../../src/cli/paint.ts'
import { reportWith } from '../../support/doctor-reports.ts'

const plain = { paint: paintFor({ hasColor: false }), width: 80 }
const colored = { paint: paintFor({ hasColor: true }), width: 80 }

// The texts of the catalog are not tested here.
const found = (message: string, level: 'problem' | 'warning' | 'note') => ({
  ...finding('status', message, level),
  meaning: `An EventSource stops permanently at any status but 200, and no browser retries.`,
  advice: 'Respond with 200 and an event stream, or with 204 to end the reconnects of a client.',
})

describe('the text of a report', () => {
  test('has the facts of a healthy endpoint', () => {
    expect(reportText(reportWith({ proxies: ['Cloudflare', 'nginx'] }), plain)).toBe(
      `https://example.org/events
  Status 200 over HTTP/1.1 and HTTP/2, through Cloudflare, nginx
  Response headers after 12 ms, first byte after 1.2 s
  3 events, 1 comment, longest silence 15.0 s

No findings in 18.0 s.
`,
    )
  })

  test('has each finding with its meaning, its advice and its page, the problems first', () => {
    const findings = [found('The first.', 'note'), found('The status is 404.', 'problem')]
    const text = reportText(reportWith({ findings, protocols: ['HTTP/1.1'] }), plain)
    expect(text.slice(text.indexOf('problem'))).toBe(
      `problem: status
  The status is 404.
  An EventSource stops permanently at any status but 200, and no browser
  retries.
  -> Respond with 200 and an event stream, or with 204 to end the reconnects of
     a client.
  docs/doctor/status.md

note: status
  The first.
  An EventSource stops permanently at any status but 200, and no browser
  retries.
  -> Respond with 200 and an event stream, or with 204 to end the reconnects of
     a client.
  docs/doctor/status.md

1 problem, 1 note in 18.0 s.
npx spillway doctor --explain status prints the page on a finding.
`,
    )
  })

  test('has a report without a response', () => {
    const missing = { status: undefined, timeToHeaders: undefined, timeToFirstByte: undefined }
    const text = reportText(reportWith({ ...missing, longestSilence: undefined, protocols: [] }), plain)
    expect(text).toContain('No response over no protocol\n')
    expect(text).toContain('Response headers after none, first byte after none\n')
    expect(text).toContain('longest silence none\n')
  })

  test('has colours only if they are shown', () => {
    const report = reportWith({
      findings: [found('x', 'problem'), found('y', 'warning'), found('z', 'note')],
    })
    expect(reportText(report, plain)).not.toContain('\x1b')
    expect(reportText(report, colored)).toContain('\x1b[31m\x1b[1mproblem: status\x1b[22m\x1b[39m\n')
    expect(reportText(report, colored)).toContain('\x1b[33m\x1b[1mwarning: status')
  })

  test('never has control characters of a server', () => {
    const evil = 'a\x1b]0;title\x07\x9b2J\r\n\u202eb'
    const findings = [found(evil, 'problem')]
    const text = reportText(
      reportWith({ url: evil, proxies: [evil], headers: { server: evil }, findings }),
      plain,
    )
    expect(text).toContain('a\\u001b]0;title\\u0007\\u009b2J\\r\\n\\u202eb')
    expect(text.match(/[^\x20-\x7e\n]/)).toBe(null)
  })

  test('shortens a long text of a server', () => {
    const findings = [found('x'.repeat(1_000_000), 'problem')]
    expect(reportText(reportWith({ findings }), plain).length).toBeLessThan(2000)
  })
})
