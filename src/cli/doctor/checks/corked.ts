import type { Evidence } from '../evidence.ts'
import type { Exchange } from '../exchange.ts'
import { countText } from '../figures.ts'
import { inMs, isStream } from './streams.ts'

// The kernel holds incomplete segments that a proxy has corked for 200 ms, and longer on a busy machine. In ms.
const MIN_DELAY = 195
const MAX_DELAY = 300
const MIN_STREAMS = 4
// The kernel does not hold a response that is complete. In ms.
const MAX_COMPLETE_DELAY = 60

/**
 * Returns the evidence that each write is held for 200 ms, as haproxy does without `http-no-delay`. Each stream then
 * begins after this time, but a response without a body does not.
 */
export function evidenceOfCork({ exchanges }: Evidence): string | undefined {
  const { main, identity, second, resume, resumeLast, unknownId, anyAccept, crossOrigin, head } = exchanges
  const streams = [main, identity, second, resume, resumeLast, unknownId, anyAccept, crossOrigin]
  const delays = streams.filter((each) => isStream(each) && each.protocol === 'HTTP/1.1').map(delayOf)
  const whole = head?.status === 200 ? delayOf(head) : MAX_COMPLETE_DELAY
  if (delays.length < MIN_STREAMS || whole >= MAX_COMPLETE_DELAY) return undefined
  const [least, most] = [Math.min(...delays), Math.max(...delays)]
  if (least < MIN_DELAY || least > MIN_DELAY + 30 || most > MAX_DELAY) return undefined
  return `${countText(delays.length, 'stream')} began ${Math.round(least)} to ${inMs(most)} after the connection, and the response to HEAD after ${inMs(whole)}.`
}

function delayOf(exchange: Exchange | undefined): number {
  return (exchange?.headersAt ?? 0) - (exchange?.connectedAt ?? 0)
}
