import { excerpt, quote } from '../../printable.ts'
import { finding } from '../catalog.ts'
import type { Exchange } from '../exchange.ts'
import { countText } from '../figures.ts'
import { textOf } from './body.ts'
import type { Check } from './check.ts'
import { mediaTypeOf } from './headers.ts'
import { isLongPoll, isNdjson, pageOf, parsed } from './json-body.ts'

export const longPollLength: Check = ({ exchanges: { longPoll } }) => {
  if (!isLongPoll(longPoll) || longPoll.protocol !== 'HTTP/1.1') return []
  const { headers } = longPoll
  if (headers.has('content-length') || headers.has('transfer-encoding')) return []
  return [finding('long-poll-length', 'The response to a poll has no Content-Length, and is not chunked.')]
}

export const longPollCursor: Check = ({ exchanges: { longPoll } }) => {
  if (!isLongPoll(longPoll)) return []
  const { events, lastEventId } = pageOf(longPoll) ?? {}
  const number = Array.isArray(events) ? events.length : 0
  if (number === 0 || typeof lastEventId === 'string') return []
  const found =
    lastEventId === undefined ? 'no lastEventId' : `the lastEventId ${excerpt(JSON.stringify(lastEventId))}`
  return [finding('long-poll-cursor', `A poll returned ${countText(number, 'event')}, and ${found}.`)]
}

export const ndjsonType: Check = ({ exchanges: { ndjson } }) => {
  if (ndjson?.status !== 200 || isNdjson(ndjson) || mediaTypeOf(ndjson) === 'text/event-stream') return []
  const values = completeLinesOf(ndjson).map(parsed)
  // One line may be an ordinary JSON document.
  if (values.length < 2 || values.some((value) => typeof value !== 'object')) return []
  return [
    finding('ndjson-type', `${values.length} lines of JSON have the type ${quote(mediaTypeOf(ndjson))}.`),
  ]
}

export const ndjsonLines: Check = ({ exchanges: { ndjson } }) => {
  if (ndjson?.status !== 200 || !isNdjson(ndjson)) return []
  const line = completeLinesOf(ndjson).find((each) => parsed(each) === undefined)
  return line === undefined ? [] : [finding('ndjson-lines', `The line ${quote(line)} is not JSON.`)]
}

/** Returns the lines that have ended and are not empty. A JSON value may contain a CR between its tokens. */
function completeLinesOf(exchange: Exchange): string[] {
  const lines = textOf(exchange).split('\n')
  return lines.slice(0, -1).filter((line) => line.trim() !== '')
}
