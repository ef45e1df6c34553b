import { describe, expect, test } from 'vitest'
import { finding } from '../../../src/cli/doctor/catalog.ts'
import { comparisonOf } from '../../../src/cli/doctor/compare.ts'
import { comparisonText } from '../../../src/cli/doctor/comparison-text.ts'
import { paintFor } from '../../../src/cli/paint.ts'
import { reportWith } from '../../support/doctor-reports.ts'

const style = { paint: paintFor({ hasColor: false }), width: 100 }

const direct = reportWith({ url: 'http://10.0.0.5:3000/events', headers: { 'x-accel-buffering': 'no' } })

describe('the text of a comparison', () => {
  test('has both reports, each difference, and the configuration of the proxy', () => {
    const headers = { server: 'nginx/1.22.1' }
    const findings = [finding('status', 'The status is 502.')]
    const proxied = reportWith({ headers, findings, proxies: ['nginx'], timeToFirstByte: undefined })
    const text = comparisonText(comparisonOf(proxied, direct), style)
    expect(text.slice(0, text.indexOf('problem: status'))).toBe(
      `                  behind the proxy             direct
                  https://example.org/events   http://10.0.0.5:3000/events
status            200                          200
protocols         HTTP/1.1, HTTP/2             HTTP/1.1, HTTP/2
response headers  12 ms                        12 ms
first byte        none                         1.2 s
events            3                            3
comments          1                            1
longest silence   15.0 s                       15.0 s
findings          1 problem                    no findings

Differences
  status only behind the proxy: The status is 502.
  first byte: none behind the proxy, 1.2 s direct
  header server added by the proxy: nginx/1.22.1
  header x-accel-buffering removed by the proxy: no

Proxy: nginx
  nginx: It buffers a response without X-Accel-Buffering: no, unless it has these lines.
    location /events {
      proxy_pass http://127.0.0.1:3000;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_buffering off;
      proxy_cache off;
    }

Findings behind the proxy
`,
    )
  })

  test('has the line of haproxy if the proxy names itself in no header', () => {
    const text = comparisonText(comparisonOf(reportWith(), direct), style)
    expect(text).toContain('\nProxy\n  The proxy names itself in no header.')
    expect(text).toContain('\n    option http-no-delay\n')
    expect(text).toContain('\nFindings behind the proxy\n  None.\n\nNo findings in 18.0 s.\n')
  })

  test('never has control characters of a server', () => {
    const evil = 'a\x1b]0;title\x07\x9b2J\r\n\u202eb'
    const findings = [finding('status', evil)]
    const proxied = reportWith({ url: evil, headers: { [evil]: evil }, proxies: [evil], findings })
    expect(comparisonText(comparisonOf(proxied, direct), style).match(/[^\x20-\x7e\n]/)).toBe(null)
  })
})
