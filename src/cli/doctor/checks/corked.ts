import type { Evidence } from '../evidence.ts'
import type { Exchange } from '../exchange.ts'
import { countText } from '../figures.ts'
import { inMs, isStream } from './streams.ts'

// The kernel holds bytes that a proxy has marked as incomplete for 200 ms. A busy machine adds to it. In ms.
const EARLIEST = 195
const LATEST = 300
const STREAMS = 4
// A response that is complete is not held. In ms.
const COMPLETE = 60

/**
 * Returns what shows that each write is held for 200 ms, as haproxy does without `http-no-delay`. Each stream then begins
 * after this time, and a response without a body does not.
 */
export function evidenceOfCork({ exchanges }: Evidence): string | undefined {
  const { main, identity, second, resume, resumeLast, unknownId, anyAccept, crossOrigin, head } = exchanges
  const streams = [main, identity, second, resume, resumeLast, unknownId, anyAccept, crossOrigin]
  const delays = streams.filter((each) => isStream(each) && each.protocol === 'HTTP/1.1').map(delayOf)
  const whole = head?.status === 200 ? delayOf(head) : COMPLETE
  if (delays.length < STREAMS || whole >= COMPLETE) return undefined
  const [least, most] = [Math.min(...delays), Math.max(...delays)]
  if (least < EARLIEST || least > EARLIEST + 30 || most > LATEST) return undefined
  return `${countText(delays.length, 'stream')} began ${Math.round(least)} to ${inMs(most)} after the connection, and the response to HEAD after ${inMs(whole)}.`
}

function delayOf(exchange: Exchange | undefined): number {
  return (exchange?.headersAt ?? 0) - (exchange?.connectedAt ?? 0)
}
