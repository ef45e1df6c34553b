import type { Evidence } from '../evidence.ts'
import type { Exchange, SeenEvent } from '../exchange.ts'
import { isStream } from './streams.ts'

/** What a reconnect with an id of `main` got. All are ids. */
export interface Resumption {
  readonly exchange: Exchange
  /** The last event id that was sent. */
  readonly id: string
  /** Events after it that arrived on `main` before the reconnect, and did not arrive on it. */
  readonly missed: readonly string[]
  /** Those that arrived on it. */
  readonly received: readonly string[]
  /** Events after it that arrived on either of them. */
  readonly due: readonly string[]
  /** Those that did not arrive on it. */
  readonly skipped: readonly string[]
  /** Events up to it that arrived again. */
  readonly repeated: readonly string[]
}

// An event may arrive on one stream so much later than on the other. In ms.
const MARGIN = 1_000
// A reconnect that was open for less than this shows nothing. In ms.
const LEAST = 1_000

/** Compares a reconnect with `main`. Undefined if there is nothing to compare. Default: `resume`. */
export function resumptionOf(
  { exchanges }: Evidence,
  exchange: Exchange | undefined = exchanges.resume,
): Resumption | undefined {
  const { main } = exchanges
  if (!isStream(main) || !isStream(exchange) || exchange.method !== 'GET' || !wasOpen(exchange, main))
    return undefined
  const id = Buffer.from(exchange.requestHeaders['last-event-id'] ?? '', 'latin1').toString('utf8')
  const sent = main.events.filter(({ hasId }) => hasId)
  if (id === '' || !areUnique(sent)) return undefined
  // -1 for a position without an event, which is before all events.
  const index = sent.findIndex((event) => event.id === id)
  // The id alone may be that of another event, for example of one that reports the present position.
  const got = new Set(exchange.events.map(keyOf))
  const [until, after] = [sent.slice(0, index + 1), sent.slice(index + 1)]
  const missedOf = (events: readonly SeenEvent[]) => idsOf(events.filter((event) => !got.has(keyOf(event))))
  const receivedOf = (events: readonly SeenEvent[]) => idsOf(events.filter((event) => got.has(keyOf(event))))
  const before = after.filter(({ at }) => main.sentAt + at < exchange.sentAt)
  const due = after.filter(({ at }) => main.sentAt + at < exchange.sentAt + exchange.endedAt - MARGIN)
  if (before.length === 0 && exchange === exchanges.resume) return undefined
  return {
    exchange,
    id,
    missed: missedOf(before),
    received: receivedOf(before),
    due: idsOf(due),
    skipped: missedOf(due),
    repeated: receivedOf(until),
  }
}

/** Whether a reconnect was open for longer than `main` waited for its first byte. */
function wasOpen({ headersAt, endedAt }: Exchange, main: Exchange): boolean {
  const wait = (main.firstByteAt ?? 0) - (main.headersAt ?? 0)
  return headersAt !== undefined && endedAt - headersAt >= LEAST + Math.max(0, wait)
}

function areUnique(events: readonly SeenEvent[]): boolean {
  return new Set(events.map(({ id }) => id)).size === events.length
}

function keyOf({ id, event, data }: SeenEvent): string {
  return JSON.stringify([id, event, data])
}

function idsOf(events: readonly SeenEvent[]): string[] {
  return events.map(({ id }) => id)
}
