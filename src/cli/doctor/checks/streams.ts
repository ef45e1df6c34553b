import { formatCount } from '../../format.ts'
import type { Evidence } from '../evidence.ts'
import type { Exchange } from '../exchange.ts'

/** Whether a response is an event stream, by its type or by its events. */
export function isStream(exchange: Exchange | undefined): exchange is Exchange {
  if (exchange?.status !== 200) return false
  return (
    /^text\/event-stream\b/i.test(exchange.headers.get('content-type') ?? '') || exchange.events.length > 0
  )
}

/** Returns the streams that were open as long as possible, `main` first. */
export function watchedStreams({ exchanges }: Evidence): Exchange[] {
  const { main, http2, identity, second } = exchanges
  return [main, http2, identity, second].filter(isStream)
}

/** Returns the content encoding of a stream. Undefined if there is none. */
export function encodingOf({ headers }: Exchange): string | undefined {
  const encoding = headers.get('content-encoding')?.toLowerCase()
  return encoding === 'identity' ? undefined : encoding
}

/** Returns the longest time without a byte while a stream was open, in ms. */
export function longestSilence({ headersAt = 0, arrivals, endedAt }: Exchange): number {
  return longestPause([headersAt, ...arrivals.map(({ at }) => at), endedAt])
}

/** Returns the longest time between two of the times, which are in ascending order. */
export function longestPause(times: readonly number[]): number {
  return Math.max(0, ...times.slice(1).map((at, i) => at - (times[i] ?? at)))
}

/** Returns a time of an exchange in ms since the Unix epoch. */
export function absolute({ sentAt }: Exchange, at: number): number {
  return sentAt + at
}

/** Returns a time with its unit, for example `2 140 ms`. */
export function inMs(time: number): string {
  return `${formatCount(time)} ms`
}

/** Returns how much of a measured time may be due to a stall of this process or of the whole machine, in ms. */
export function slackOf(stall: number): number {
  return 2 * stall
}

/** Returns the median of some numbers. */
export function median(numbers: readonly number[]): number {
  return numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)] ?? 0
}
