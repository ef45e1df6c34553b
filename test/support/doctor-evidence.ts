import { createParser } from 'eventsource-parser'
import type { Evidence, ProbeName } from '../../src/cli/doctor/evidence.ts'
import type { Exchange, SeenEvent } from '../../src/cli/doctor/exchange.ts'

/** What a test states about an exchange. */
export interface Told extends Partial<Omit<Exchange, 'headers' | 'rawHeaders' | 'arrivals' | 'events'>> {
  /** In addition to those of a healthy event stream. Null removes a header. */
  readonly headers?: Readonly<Record<string, string | null>>
  /** The chunks of the body. A number is the time of the next chunk in ms after the request. */
  readonly body?: ReadonlyArray<string | Uint8Array | number>
}

const HEALTHY: Readonly<Record<string, string>> = {
  'content-type': 'text/event-stream; charset=utf-8',
  'cache-control': 'no-cache, no-transform',
  'x-accel-buffering': 'no',
  connection: 'keep-alive',
  'transfer-encoding': 'chunked',
}

/** Returns an exchange as the doctor would have recorded it: by default, a healthy stream with one event. */
export function exchange({ headers = {}, body = [10, 'id: 1\ndata: a\n\n'], ...rest }: Told = {}): Exchange {
  const entries = Object.entries({ ...HEALTHY, ...headers }).filter(
    (entry): entry is [string, string] => entry[1] !== null,
  )
  const arrivals = arrivalsOf(body)
  const events = eventsOf(arrivals)
  return {
    protocol: 'HTTP/1.1',
    method: 'GET',
    requestHeaders: { accept: 'text/event-stream' },
    sentAt: 0,
    connectedAt: 1,
    status: 200,
    rawHeaders: entries,
    headers: new Map(entries),
    headersAt: 5,
    firstByteAt: arrivals[0]?.at,
    arrivals,
    events,
    comments: [],
    ids: events.flatMap(({ at, id, hasId }) => (hasId ? [{ at, id }] : [])),
    retries: [],
    end: 'open',
    endedAt: 4_000,
    isTruncated: false,
    error: undefined,
    errorCode: undefined,
    ...rest,
  }
}

/** Returns a response that is not an event stream, with only the given headers. */
export function response(status: number, headers: Record<string, string> = {}, body = ''): Exchange {
  const none = Object.fromEntries(Object.keys(HEALTHY).map((name) => [name, null]))
  return exchange({
    status,
    headers: { ...none, ...headers },
    body: body === '' ? [] : [10, body],
    end: 'ended',
    endedAt: 12,
  })
}

/** Returns an exchange without a response. */
export function unanswered(told: Told = {}): Exchange {
  return exchange({ status: undefined, headersAt: undefined, body: [], ...told })
}

/** Returns evidence of these exchanges. Without `main`, that is a healthy stream. */
export function evidence(
  exchanges: Partial<Record<ProbeName, Exchange>> = {},
  { url = 'http://localhost:3000/events', origin }: { url?: string; origin?: string } = {},
): Evidence {
  const all = { main: exchange(), ...exchanges }
  return { url: new URL(url), origin, watched: all.main.endedAt, isEarly: false, stall: 0, exchanges: all }
}

function arrivalsOf(body: ReadonlyArray<string | Uint8Array | number>) {
  const arrivals: Array<{ at: number; bytes: Uint8Array }> = []
  let at = 10
  for (const each of body) {
    if (typeof each === 'number') at = each
    else arrivals.push({ at, bytes: typeof each === 'string' ? new TextEncoder().encode(each) : each })
  }
  return arrivals
}

function eventsOf(arrivals: ReadonlyArray<{ at: number; bytes: Uint8Array }>): SeenEvent[] {
  const events: SeenEvent[] = []
  const decoder = new TextDecoder()
  let [now, id] = [0, '']
  const parser = createParser({
    onEvent: (event) => {
      id = event.id ?? id
      const hasId = event.id !== undefined
      events.push({ startedAt: now, at: now, event: event.event ?? 'message', data: event.data, id, hasId })
    },
  })
  for (const { at, bytes } of arrivals) {
    now = at
    parser.feed(decoder.decode(bytes, { stream: true }))
  }
  return events
}
