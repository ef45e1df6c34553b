import type { Paint } from '../paint.ts'
import { printable } from '../printable.ts'
import { countText, timeText } from './figures.ts'
import { type Finding, LEVELS, type Report } from './finding.ts'
import { wrap } from './wrap.ts'

/** The format of printed text. */
export interface Style {
  readonly paint: Paint
  /** The columns of a line. */
  readonly width: number
}

const COLORS = { problem: 'red', warning: 'yellow', note: 'cyan' } as const

// Text of a server is shortened to this many characters, so that a finding stays readable.
const LONGEST = 400

/** Returns a report as text for people. Text of the server is escaped. */
export function reportText(report: Report, style: Style): string {
  return `${factsText(report, style)}\n${findingsText(report.findings, style)}${summaryText(report, style)}`
}

function factsText(report: Report, { paint, width }: Style): string {
  const { url, status, protocols, proxies, timeToHeaders, timeToFirstByte } = report
  const through =
    proxies.length > 0 ? `, through ${proxies.map((name) => printable(name, 100)).join(', ')}` : ''
  const lines = [
    `${status === undefined ? 'No response' : `Status ${status}`} over ${protocols.join(' and ') || 'no protocol'}${through}`,
    `Response headers after ${timeText(timeToHeaders)}, first byte after ${timeText(timeToFirstByte)}`,
    `${countText(report.events, 'event')}, ${countText(report.comments, 'comment')}, longest silence ${timeText(report.longestSilence)}`,
  ]
  return `${paint.bold(printable(url, 2000))}\n${lines.map((line) => wrap(line, '  ', width)).join('')}`
}

/** Returns findings by level. */
export function findingsText(findings: readonly Finding[], style: Style): string {
  const sorted = LEVELS.flatMap((level) => findings.filter((each) => each.level === level))
  return sorted.map((each) => `${findingText(each, style)}\n`).join('')
}

function findingText({ code, level, message, meaning, advice }: Finding, { paint, width }: Style): string {
  const colored = paint[COLORS[level]]
  return [
    `${colored(paint.bold(`${level}: ${code}`))}\n`,
    wrap(printable(message, LONGEST), '  ', width),
    wrap(meaning, '  ', width),
    wrap(advice, '  -> ', width).replaceAll('\n  -> ', '\n     '),
    `  ${paint.dim(pageOf(code))}\n`,
  ].join('')
}

/** Returns the path of the page on a code in the package. */
export function pageOf(code: string): string {
  return `docs/doctor/${code}.md`
}

/** Returns the numbers of findings, and the command that explains them. */
export function summaryText({ findings, duration }: Report, { paint, width }: Style): string {
  const [worst] = LEVELS.filter((level) => findings.some((each) => each.level === level))
  const color = worst === undefined ? paint.green : paint[COLORS[worst]]
  const line = `${paint.bold(color(countsText(findings)))} in ${timeText(duration)}.\n`
  const [first] = findings
  if (!first) return line
  return `${line}${wrap(`npx spillway doctor --explain ${first.code} prints the page on a finding.`, '', width)}`
}

/** Returns for example `1 problem, 2 warnings`, or `No findings`. */
export function countsText(findings: readonly Finding[]): string {
  const counts = LEVELS.map(
    (level) => [level, findings.filter((each) => each.level === level).length] as const,
  )
  const found = counts.filter(([, count]) => count > 0)
  return found.map(([level, count]) => countText(count, level)).join(', ') || 'No findings'
}
