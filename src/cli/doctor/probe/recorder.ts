import type { Transform } from 'node:stream'
import type { Protocol } from '../../protocol.ts'
import type { Arrival, Exchange, ResponseEnd, SeenComment, SeenEvent, SeenId } from '../exchange.ts'
import { BlockReader } from './block-reader.ts'
import { decoderOf } from './decode.ts'
import type { ProbeRequest } from './probe.ts'

// A response that exceeds one of these limits is closed, so that a server cannot exhaust the memory or the time.
const MAX_BYTES = 8 * 1024 * 1024
const MAX_ITEMS = 10_000
const MAX_LINES = 100_000

type Headers = ReadonlyArray<readonly [name: string, value: string]>

/** Records an exchange. The object is the exchange so far. */
export class Recorder implements Exchange {
  readonly protocol: Protocol
  readonly method: string
  readonly requestHeaders: Readonly<Record<string, string>>
  readonly sentAt = performance.timeOrigin + performance.now()
  connectedAt: number | undefined
  status: number | undefined
  headers: ReadonlyMap<string, string> = new Map()
  headersAt: number | undefined
  firstByteAt: number | undefined
  readonly arrivals: Arrival[] = []
  readonly events: SeenEvent[] = []
  readonly comments: SeenComment[] = []
  readonly ids: SeenId[] = []
  end: ResponseEnd = 'open'
  error: string | undefined
  errorCode: string | undefined
  readonly #onChange: () => void
  readonly #reader: BlockReader
  #decoder: Transform | undefined
  // True after the end, although the decoder may still output the last bytes.
  #isFinished = false
  #received = 0
  #bytes = 0
  #blockStartedAt = 0
  #endedAt: number | undefined

  constructor(protocol: Protocol, { method, headers }: ProbeRequest, onChange: () => void) {
    this.protocol = protocol
    this.method = method
    this.requestHeaders = headers
    this.#onChange = onChange
    this.#reader = new BlockReader(
      {
        onBlock: (id, hasId, event) => this.#addBlock(id, hasId, event),
        onBlockStart: () => {
          this.#blockStartedAt = this.now
        },
        onComment: (text) => this.comments.push({ at: this.now, text }),
      },
      headers['last-event-id'] ?? '',
    )
  }

  /** The present time in ms since the request was sent. */
  get now(): number {
    return performance.timeOrigin + performance.now() - this.sentAt
  }

  get isDone(): boolean {
    return this.#endedAt !== undefined
  }

  get endedAt(): number {
    return this.#endedAt ?? this.now
  }

  connect(): void {
    this.connectedAt ??= this.now
  }

  respond(status: number, rawHeaders: Headers): void {
    if (this.isDone) return
    this.status = status
    this.headers = joined(rawHeaders)
    this.headersAt = this.now
    this.#decoder = decoderOf(this.headers.get('content-encoding'))
    this.#decoder?.on('data', (bytes: Buffer) => this.#add(bytes))
    // The bytes do not have the encoding that the header states. Browsers fail with a network error.
    this.#decoder?.on('error', ({ message }) => this.#fail(`content encoding: ${message}`))
    this.#onChange()
  }

  /** Records bytes of the body as they were sent. */
  receive(bytes: Uint8Array): void {
    if (this.isDone || bytes.length === 0) return
    this.firstByteAt ??= this.now
    this.#received += bytes.length
    // A decoder that is slower than the network queues them.
    if (this.#received > MAX_BYTES) this.stop()
    else if (this.#decoder) this.#decoder.write(bytes)
    else this.#add(bytes)
  }

  /** Records the end that the framing requires, after the last bytes have been decoded. */
  finish(): void {
    this.#isFinished = true
    if (this.#decoder) this.#decoder.end(() => this.#finish('ended'))
    else this.#finish('ended')
  }

  /** Records that the response is missing or incomplete. */
  cut(error: string | undefined, code: string | undefined): void {
    if (!this.#isFinished) this.#fail(error, code)
  }

  /** Records that the doctor closed the connection, for example because the response is too long. */
  stop(): void {
    this.#finish('open')
  }

  #fail(error: string | undefined, code?: string | undefined): void {
    if (this.isDone) return
    this.error = error
    this.errorCode = code
    this.#finish('cut')
  }

  #finish(end: ResponseEnd): void {
    if (this.isDone) return
    this.end = end
    this.#endedAt = this.now
    this.#decoder?.destroy()
    this.#onChange()
  }

  #add(bytes: Uint8Array): void {
    if (this.isDone) return
    this.#bytes += bytes.length
    this.arrivals.push({ at: this.now, bytes })
    this.#reader.read(bytes)
    const items = Math.max(this.arrivals.length, this.events.length, this.comments.length, this.ids.length)
    const isTooLong = this.#bytes > MAX_BYTES || items > MAX_ITEMS || this.#reader.lineCount > MAX_LINES
    if (isTooLong) this.stop()
    else this.#onChange()
  }

  #addBlock(id: string, hasId: boolean, event: { event: string; data: string } | undefined): void {
    const at = this.now
    if (hasId) this.ids.push({ at, id })
    if (event) this.events.push({ ...event, startedAt: this.#blockStartedAt, at, id, hasId })
  }
}

function joined(rawHeaders: Headers): ReadonlyMap<string, string> {
  const headers = new Map<string, string>()
  for (const [name, value] of rawHeaders) {
    const lower = name.toLowerCase()
    const earlier = headers.get(lower)
    headers.set(lower, earlier === undefined ? value : `${earlier}, ${value}`)
  }
  return headers
}
