import type { Evidence, ProbeName } from '../../src/cli/doctor/evidence.ts'
import type { Arrival, Exchange, SeenComment, SeenEvent, SeenId } from '../../src/cli/doctor/exchange.ts'
import { BlockReader } from '../../src/cli/doctor/probe/block-reader.ts'

/** The chunks of a body, with the times at which they arrived in ms since the request. */
export type Chunks = ReadonlyArray<readonly [at: number, chunk: string | Uint8Array]>

export interface Recording extends Partial<Omit<Exchange, 'headers' | 'events' | 'arrivals'>> {
  /** In addition to `Content-Type: text/event-stream`. Null removes a header. */
  readonly headers?: Readonly<Record<string, string | null>>
  readonly chunks?: Chunks
}

/** Returns an exchange with an event stream, as the doctor records it. By default, it is open for 18 s and silent. */
export function recorded({ headers = {}, chunks = [], ...rest }: Recording = {}): Exchange {
  const all = Object.entries({ 'content-type': 'text/event-stream', ...headers }).filter(
    (entry): entry is [string, string] => entry[1] !== null,
  )
  return {
    protocol: 'HTTP/1.1',
    method: 'GET',
    requestHeaders: {},
    sentAt: 0,
    connectedAt: 1,
    status: 200,
    headers: new Map(all),
    headersAt: 5,
    firstByteAt: chunks[0]?.[0],
    end: 'open',
    endedAt: 18_000,
    error: undefined,
    errorCode: undefined,
    ...read(chunks, rest.requestHeaders?.['last-event-id'] ?? ''),
    ...rest,
  }
}

/** Returns the evidence of an examination without stalls. */
export function evidenceOf(
  exchanges: Partial<Record<ProbeName, Exchange>> & { readonly main: Exchange },
  { stall = 0 } = {},
): Evidence {
  const url = new URL('http://localhost:3000/events')
  return { url, origin: undefined, watched: exchanges.main.endedAt, stall, exchanges }
}

function read(chunks: Chunks, lastEventId: string) {
  const arrivals: Arrival[] = []
  const events: SeenEvent[] = []
  const comments: SeenComment[] = []
  const ids: SeenId[] = []
  let [now, startedAt] = [0, 0]
  const listener = {
    onBlock(id: string, hasId: boolean, event: { event: string; data: string } | undefined) {
      if (hasId) ids.push({ at: now, id })
      if (event) events.push({ ...event, startedAt, at: now, id, hasId })
    },
    onBlockStart() {
      startedAt = now
    },
    onComment: (text: string) => void comments.push({ at: now, text }),
  }
  const reader = new BlockReader(listener, lastEventId)
  for (const [at, chunk] of chunks) {
    now = at
    const bytes = Buffer.from(chunk)
    arrivals.push({ at, bytes })
    reader.read(bytes)
  }
  return { arrivals, events, comments, ids }
}
