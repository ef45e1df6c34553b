import type { Evidence, ProbeName } from '../../src/cli/doctor/evidence.ts'
import type { Exchange } from '../../src/cli/doctor/exchange.ts'
import { type Chunks, evidenceOf, type Recording, recorded } from './recorded-exchange.ts'

/** The properties of an exchange that a test states. Headers are added to those of a healthy event stream. */
export interface Stated extends Omit<Recording, 'chunks'> {
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

/** Returns an exchange as the doctor records it. By default, it is a healthy stream with one event. */
export function exchange({ headers, body = [10, 'id: 1\ndata: a\n\n'], ...rest }: Stated = {}): Exchange {
  return recorded({
    headers: { ...HEALTHY, ...headers },
    chunks: chunksOf(body),
    requestHeaders: { accept: 'text/event-stream' },
    endedAt: 4_000,
    ...rest,
  })
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
export function unanswered(stated: Stated = {}): Exchange {
  return exchange({ status: undefined, headersAt: undefined, body: [], ...stated })
}

/** Returns evidence of these exchanges. Without `main`, that is a healthy stream. */
export function evidence(
  exchanges: Partial<Record<ProbeName, Exchange>> = {},
  { url = 'http://localhost:3000/events', origin }: { url?: string; origin?: string } = {},
): Evidence {
  const all = { main: exchange(), ...exchanges }
  return { ...evidenceOf(all), url: new URL(url), origin }
}

function chunksOf(body: ReadonlyArray<string | Uint8Array | number>): Chunks {
  let at = 10
  return body.flatMap((each) => {
    if (typeof each !== 'number') return [[at, each] as const]
    at = each
    return []
  })
}
