import { formatCount, formatMs } from '../format.ts'
import { ProgressLine } from '../progress-line.ts'
import type { Terminal } from '../terminal.ts'
import { sharedNow } from './clock.ts'
import type { Figures } from './figures.ts'
import { errorsOf } from './report.ts'

const INTERVAL = 500

/** Shows the progress of a run, which began at a time of `sharedNow`. Returns a function that removes it. */
export function showProgress(
  figures: Figures,
  streams: number,
  terminal: Terminal,
  startAt: number,
): () => void {
  const line = new ProgressLine(terminal)
  let [events, shownAt] = [0, sharedNow()]
  const text = () => {
    const counts = figures.counts()
    const now = sharedNow()
    const perSecond = ((counts.events - events) / Math.max(1, now - shownAt)) * 1000
    events = counts.events
    shownAt = now
    const delay = figures.durations('delay')
    const parts = [
      `${Math.max(0, Math.round((now - startAt) / 1000))} s`,
      `${formatCount(counts.open)} of ${formatCount(streams)} open`,
      `${formatCount(perSecond)} events/s`,
      ...(delay ? [`delay p50 ${formatMs(delay.p50)}, p99 ${formatMs(delay.p99)}`] : []),
      ...(counts.numbered > 0 ? [`lost ${formatCount(counts.lost)}`] : []),
      `errors ${formatCount(errorsOf(counts))}`,
    ]
    return parts.join('   ')
  }
  const timer = setInterval(() => line.show(text), INTERVAL)
  return () => {
    clearInterval(timer)
    line.clear()
  }
}
