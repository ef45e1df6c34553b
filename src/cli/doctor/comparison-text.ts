import { printable } from '../printable.ts'
import type { Comparison } from './comparison.ts'
import { type Configuration, configurationOf } from './configuration.ts'
import type { Difference } from './differences.ts'
import { timeText } from './figures.ts'
import type { Report } from './finding.ts'
import { countsText, findingsText, type Style, summaryText } from './report-text.ts'
import { wrap } from './wrap.ts'

/** Returns a comparison as text for people. Text of the servers is escaped. */
export function comparisonText(comparison: Comparison, style: Style): string {
  const { proxied, direct, differences } = comparison
  return [
    tableText(proxied, direct, style),
    headingText('Differences', style),
    differences.map((each) => differenceText(each, style)).join('') || '  None.\n',
    proxyText(comparison, style),
    headingText('Findings behind the proxy', style),
    findingsText(proxied.findings, style) || '  None.\n\n',
    summaryText(proxied, style),
  ].join('')
}

function headingText(text: string, { paint }: Style): string {
  return `\n${paint.bold(text)}\n`
}

const ROWS: ReadonlyArray<readonly [name: string, value: (report: Report) => string]> = [
  ['', ({ url }) => printable(url, 200)],
  ['status', ({ status }) => `${status ?? 'none'}`],
  ['protocols', ({ protocols }) => protocols.join(', ') || 'none'],
  ['response headers', ({ timeToHeaders }) => timeText(timeToHeaders)],
  ['first byte', ({ timeToFirstByte }) => timeText(timeToFirstByte)],
  ['events', ({ events }) => `${events}`],
  ['comments', ({ comments }) => `${comments}`],
  ['longest silence', ({ longestSilence }) => timeText(longestSilence)],
  ['findings', ({ findings }) => countsText(findings).toLowerCase()],
]

function tableText(proxied: Report, direct: Report, { paint }: Style): string {
  const rows = ROWS.map(([name, value]) => [name, value(proxied), value(direct)] as const)
  const width = Math.max(...rows.map(([, value]) => value.length))
  const lines = rows.map(([name, a, b]) => `${name.padEnd(18)}${a.padEnd(width + 3)}${b}`)
  const heading = `${''.padEnd(18)}${'behind the proxy'.padEnd(width + 3)}direct`
  return `${paint.bold(heading)}\n${lines.join('\n')}\n`
}

// The labels of rows in the table.
const LABELS: Readonly<Record<string, string>> = {
  timeToHeaders: 'response headers',
  timeToFirstByte: 'first byte',
  longestSilence: 'longest silence',
}

function differenceText(difference: Difference, { width }: Style): string {
  return wrap(printable(sentenceOf(difference), 400), '  ', width)
}

function sentenceOf({ kind, name, proxied, direct }: Difference): string {
  if (kind === 'finding') {
    const [side, message] = direct === undefined ? ['behind', proxied] : ['without', direct]
    return `${name} only ${side} the proxy: ${message}`
  }
  if (kind !== 'header') {
    const label = Object.hasOwn(LABELS, name) ? LABELS[name] : name
    return `${label}: ${proxied ?? 'none'} behind the proxy, ${direct ?? 'none'} direct`
  }
  if (direct === undefined) return `header ${name} added by the proxy: ${proxied}`
  if (proxied === undefined) return `header ${name} removed by the proxy: ${direct}`
  return `header ${name} changed by the proxy: ${proxied} instead of ${direct}`
}

function proxyText({ proxies, configurations }: Comparison, style: Style): string {
  if (proxies.length === 0) {
    const unnamed = 'The proxy names itself in no header. docs/proxies.md has the configuration of each.'
    const haproxy = configurationOf('haproxy')
    return `${headingText('Proxy', style)}${wrap(unnamed, '  ', style.width)}${haproxy ? configurationText(haproxy, style) : ''}`
  }
  const names = proxies.map((name) => printable(name, 100)).join(', ')
  return `${headingText(`Proxy: ${names}`, style)}${configurations.map((each) => configurationText(each, style)).join('')}`
}

function configurationText({ proxy, advice, lines }: Configuration, { paint, width }: Style): string {
  const code = (lines ?? '').split('\n').filter((line) => line !== '')
  return `${wrap(`${proxy}: ${advice}`, '  ', width)}${code.map((line) => `    ${paint.cyan(line)}\n`).join('')}`
}
