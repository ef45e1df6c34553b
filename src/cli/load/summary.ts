import { formatBytes, formatCount, formatMs } from '../format.ts'
import { printable } from '../printable.ts'
import type { Durations } from './durations.ts'
import type { LoadReport, MixReport } from './report.ts'
import { THRESHOLDS, type Verdict } from './thresholds.ts'

type Row = readonly [name: string, text: string]

/** Returns a report as text. */
export function summaryOf(report: LoadReport): string {
  const { streams, elapsed, url, isInterrupted, mixes, thresholds } = report
  const end = isInterrupted ? ', ended early' : ''
  const sections = [
    [`${formatCount(streams.planned)} streams of ${url}, ${formatMs(elapsed)}${end}`],
    aligned([protocolRow(report), ...streamRows(report), ...connectionRows(report)]),
    aligned([...eventRows(report), ...sequenceRows(report), ...heartbeatRows(report)]),
    durationLines(report),
    mixes.length === 0 ? [] : ['Mixes', ...aligned(mixes.map(mixRow))],
    thresholds.length === 0 ? [] : ['Limits', ...thresholds.map(verdictLine)],
  ]
  const texts = sections.filter((lines) => lines.length > 0).map((lines) => lines.join('\n'))
  return `${texts.join('\n\n')}\n`
}

function protocolRow({ protocols, connections: { sessions } }: LoadReport): Row {
  const counts = sessions && counted({ opened: sessions.opened, 'open at the end': sessions.openAtEnd })
  return ['protocol', `${protocols.join(' and ')}${counts === null ? '' : `, sessions: ${counts}`}`]
}

function streamRows({ streams, workers }: LoadReport): Row[] {
  const { opened, planned, openAtEnd, reachedRate, plannedRate, failed, silent, waiting } = streams
  const rate = reachedRate === null ? '' : `, at ${reachedRate.toFixed(1)}/s of ${plannedRate}/s planned`
  const busy = workers.map(({ utilization }) => `${Math.round(utilization * 100)} %`).join(', ')
  return [
    ['streams', `${formatCount(opened)} of ${formatCount(planned)} opened${rate}`],
    [
      'at the end',
      counted({
        open: openAtEnd,
        'waiting for response headers': waiting,
        'ended permanently': failed,
        'without an event': silent,
      }),
    ],
    ['workers', `${workers.length}, busy ${busy}`],
  ]
}

function connectionRows({ connections }: LoadReport): Row[] {
  const { reconnects, reconnectsWithoutId, cuts, ends, noContent, errors, errorsByCause } = connections
  const causes = Object.entries(errorsByCause).map(([cause, count]) => `${cause} ${formatCount(count)}`)
  return [
    [
      'reconnections',
      counted({
        all: reconnects,
        'without an id': reconnectsWithoutId,
        'after a cut': cuts,
        'ended by the server': ends,
      }),
    ],
    ['errors', `${formatCount(errors)}${causes.length > 0 ? ` (${causes.join(', ')})` : ''}`],
    ...(noContent > 0 ? [['status 204', formatCount(noContent)] as const] : []),
  ]
}

function eventRows({ events, probes, sequence }: LoadReport): Row[] {
  const { received, perSecond, bytes, gaps, early } = events
  const rows: Row[] = [
    ['events', `${formatCount(received)}, ${formatCount(perSecond)}/s, ${formatBytes(bytes)}`],
    ['gaps reported', formatCount(gaps)],
  ]
  if (probes) {
    const { published, failed, waiting, failure } = probes
    const cause = failure === null ? '' : ` (${printable(failure)})`
    rows.push(['probes', counted({ published, 'due and not published': waiting, failed }) + cause])
  }
  if (early > 0) rows.push(['before their time', `${formatCount(early)}. The clocks differ.`])
  if (!sequence)
    rows.push(['lost', 'not measured, because no event had a number (--sequence-field, --publish-url)'])
  return rows
}

function sequenceRows({ sequence, resumes }: LoadReport): Row[] {
  if (!sequence || !resumes) return []
  const { lost, lostInGaps, duplicates, outOfOrder } = sequence
  const { exact, repeated, reported, silent, undecided } = resumes
  const inGaps = lostInGaps > 0 ? `, and ${formatCount(lostInGaps)} in reported gaps` : ''
  return [
    ['lost', `${formatCount(lost)}${inGaps}`],
    ['duplicates', formatCount(duplicates)],
    ['out of order', formatCount(outOfOrder)],
    [
      'resumes',
      counted({ exact, repeated, 'reported a gap': reported, 'lost events silently': silent, undecided }),
    ],
  ]
}

function heartbeatRows({ heartbeats }: LoadReport): Row[] {
  const { received, interval, jitter, longestSilence } = heartbeats
  const every =
    interval && jitter !== null
      ? `, every ${formatMs(interval.p50)}, jitter ${formatMs(jitter)} (p99 - p50)`
      : ''
  return [
    ['heartbeats', `${formatCount(received)}${every}`],
    ...(longestSilence === null ? [] : [['longest silence', formatMs(longestSilence)] as const]),
  ]
}

function durationLines({ refusal, delays, connections, heartbeats, probes, events }: LoadReport): string[] {
  if (refusal !== null) return [`No durations: ${refusal}`]
  const rows: Array<readonly [string, Durations | null]> = [
    ['delay', delays.live],
    ['delay after a reconnection', delays.replayed],
    ['delay of slow streams', delays.slowStreams],
    ['to response headers', connections.headers],
    ['to the first byte', connections.firstByte],
    ['between heartbeats', heartbeats.interval],
    ['lateness of probes', probes?.lateness ?? null],
  ]
  const cells = rows.flatMap(([name, durations]) => (durations ? [[name, ...percentilesOf(durations)]] : []))
  const hasDelays = (delays.live ?? delays.replayed ?? delays.slowStreams) !== null
  const note =
    delays.source === null
      ? ['No delays, because no event had a time (--time-field, --publish-url).']
      : !hasDelays && events.early > 0
        ? [
            `No delays, because ${formatCount(events.early)} events arrived before their time. The clocks differ.`,
          ]
        : []
  return cells.length === 0
    ? note
    : [...table([['', 'p50', 'p90', 'p99', 'p99.9', 'max'], ...cells]), ...note]
}

function percentilesOf({ p50, p90, p99, p999, max }: Durations): string[] {
  return [p50, p90, p99, p999, max].map(formatMs)
}

function mixRow({ name, opened, openAtEnd, events, errors, delay, sequence }: MixReport): Row {
  const percentiles = delay ? `, delay p50 ${formatMs(delay.p50)}, p99 ${formatMs(delay.p99)}` : ''
  const lost = sequence ? `, lost ${formatCount(sequence.lost)}` : ''
  const streams = `${formatCount(openAtEnd)} of ${formatCount(opened)} streams open`
  return [
    printable(name),
    `${streams}, ${formatCount(events)} events${percentiles}${lost}, errors ${formatCount(errors)}`,
  ]
}

function verdictLine({ name, limit, value, isMet }: Verdict): string {
  const format = THRESHOLDS[name].unit === 'ms' ? formatMs : formatCount
  return `  ${isMet ? 'met   ' : 'failed'}  --${name} ${format(limit)}: ${value === null ? 'not measured' : format(value)}`
}

/** Returns counts with their names. Omits zeros, except the first count. */
function counted(counts: Readonly<Record<string, number>>): string {
  const parts = Object.entries(counts).filter(([, count], index) => index === 0 || count > 0)
  return parts
    .map(([name, count]) => (name === 'all' ? formatCount(count) : `${formatCount(count)} ${name}`))
    .join(', ')
}

function aligned(rows: readonly Row[]): string[] {
  const width = Math.max(...rows.map(([name]) => name.length))
  return rows.map(([name, text]) => `  ${name.padEnd(width)}  ${text}`)
}

function table(rows: ReadonlyArray<readonly string[]>): string[] {
  const widths = (rows[0] ?? []).map((_, column) =>
    Math.max(...rows.map((row) => (row[column] ?? '').length)),
  )
  return rows.map((row) => {
    const cells = row.map((cell, i) =>
      i === 0 ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0),
    )
    return `  ${cells.join('  ')}`
  })
}
