import type { Evidence } from '../evidence.ts'
import type { Exchange, SeenEvent } from '../exchange.ts'
import { isStream } from './streams.ts'

/** The events after a reconnect with an id of `main`, compared with the events of `main`. All are ids. */
export interface Resumption {
  readonly exchange: Exchange
  /** The last event id that the reconnect sent. */
  readonly id: string
  /** Events after it that arrived on `main` before the reconnect, but not on the reconnect. */
  readonly missed: readonly string[]
  /** Events that arrived on the reconnect. */
  readonly received: readonly string[]
  /** Events after it that arrived on either stream. */
  readonly due: readonly string[]
  /** Due events that did not arrive on the reconnect. */
  readonly skipped: readonly string[]
  /** Events up to it that arrived again. */
  readonly repeated: readonly string[]
}

// How much later an event may arrive on one stream than on the other. In ms.
const MAX_LAG = 1_000
// A reconnect that was open for less than this yields no evidence. In ms.
const MIN_OPEN_TIME = 1_000

/** Compares a reconnect, by default `resume`, with `main`. Undefined if there is nothing to compare. */
export function resumptionOf(
  { exchanges }: Evidence,
  exchange: Exchange | undefined = exchanges.resume,
): Resumption | undefined {
  const { main } = exchanges
  if (!isStream(main) || !isStream(exchange) || exchange.method !== 'GET' || !wasOpen(exchange, main))
    return undefined
  const id = sentIdOf(exchange)
  const sent = main.events.filter(({ hasId }) => hasId)
  if (id === '' || !areUnique(sent)) return undefined
  // -1 for a position without an event, which precedes all events.
  const index = sent.findIndex((event) => event.id === id)
  // Compares more than the id, because an event that reports the present position has the same id.
  const got = new Set(exchange.events.map(keyOf))
  const [until, after] = [sent.slice(0, index + 1), sent.slice(index + 1)]
  const missedOf = (events: readonly SeenEvent[]) => idsOf(events.filter((event) => !got.has(keyOf(event))))
  const receivedOf = (events: readonly SeenEvent[]) => idsOf(events.filter((event) => got.has(keyOf(event))))
  const before = after.filter(({ at }) => main.sentAt + at < exchange.sentAt)
  const due = after.filter(({ at }) => main.sentAt + at < exchange.sentAt + exchange.endedAt - MAX_LAG)
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

/** Returns the last event id that a request has sent, '' if it has sent none. */
export function sentIdOf({ requestHeaders }: Exchange): string {
  return Buffer.from(requestHeaders['last-event-id'] ?? '', 'latin1').toString('utf8')
}

/** Whether a reconnect was open for longer than `main` waited for its first byte. */
function wasOpen({ headersAt, endedAt }: Exchange, main: Exchange): boolean {
  const wait = (main.firstByteAt ?? 0) - (main.headersAt ?? 0)
  return headersAt !== undefined && endedAt - headersAt >= MIN_OPEN_TIME + Math.max(0, wait)
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
