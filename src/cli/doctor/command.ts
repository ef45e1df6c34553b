import { type Command, EXIT } from '../command.ts'
import { jsonText } from '../json-text.ts'
import { paintFor } from '../paint.ts'
import { ProgressLine } from '../progress-line.ts'
import { print, type Terminal } from '../terminal.ts'
import { compare } from './compare.ts'
import { comparisonText } from './comparison-text.ts'
import { examine } from './examine.ts'
import { explain } from './explain.ts'
import { timeText } from './figures.ts'
import { LEVELS, type Report } from './finding.ts'
import { HELP } from './help.ts'
import type { Progress } from './options.ts'
import { type FailOn, type Invocation, readInvocation } from './options-from-flags.ts'
import { reportText, type Style } from './report-text.ts'

// A longer line is hard to read.
const WIDEST = 100

/** `npx spillway doctor`. */
export const doctor: Command = { help: HELP, run }

async function run(args: readonly string[], terminal: Terminal): Promise<number> {
  const invocation = await readInvocation(args)
  if ('explain' in invocation) {
    await print(terminal.out, await explain(invocation.explain))
    return EXIT.ok
  }
  const line = new ProgressLine(terminal)
  try {
    const { report, text } = await examined(invocation, line, terminal)
    line.clear()
    await print(terminal.out, text)
    return terminal.signal.aborted ? EXIT.interrupted : exitStatus(report, invocation.failOn)
  } finally {
    line.clear()
  }
}

/** Examines the endpoint, and returns its report with the text to print. */
async function examined(
  { url, directUrl, options, isJson }: Invocation,
  line: ProgressLine,
  { signal, hasColor, columns }: Terminal,
): Promise<{ report: Report; text: string }> {
  const style: Style = { paint: paintFor({ hasColor }), width: Math.min(columns, WIDEST) }
  const given = {
    ...options,
    signal,
    onProgress: (progress: Progress) => line.show(() => progressText(progress)),
  }
  if (directUrl === undefined) {
    const report = await examine(url, given)
    return { report, text: isJson ? jsonText(report) : reportText(report, style) }
  }
  const comparison = await compare(url, directUrl, given)
  return {
    report: comparison.proxied,
    text: isJson ? jsonText(comparison) : comparisonText(comparison, style),
  }
}

function progressText({ elapsed, timeout, step }: Progress): string {
  return `${timeText(elapsed)} of ${timeText(timeout)}: ${step}`
}

function exitStatus({ findings }: Report, failOn: FailOn): number {
  const failing = failOn === 'never' ? [] : LEVELS.slice(0, LEVELS.indexOf(failOn) + 1)
  return findings.some(({ level }) => failing.includes(level)) ? EXIT.failed : EXIT.ok
}
