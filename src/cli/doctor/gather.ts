import { monitorEventLoopDelay } from 'node:perf_hooks'
import { UsageError } from '../usage-error.ts'
import type { Evidence, ProbeName } from './evidence.ts'
import type { Exchange } from './exchange.ts'
import { type ExamineOptions, type Progress, targetOf, timeoutOf } from './options.ts'
import { isAwaited, isEnough, isJudged, PROBES_WITH_IDS, probesBeside } from './plan.ts'
import { connectionFailure } from './probe/failure.ts'
import { Http1Probe } from './probe/http1.ts'
import { Http2Connection } from './probe/http2-connection.ts'
import type { Probe } from './probe/probe.ts'
import { requestOf, type SeenIds, type Target } from './requests.ts'

// How often the plan is evaluated without a change, and progress is reported. In ms.
const TICK = 200
// The resolution of the measurement of stalls, in ms.
const RESOLUTION = 20
// How long other requests wait for the response headers of `main`, so that a cache stores that response first. In ms.
const HEAD_START = 3_000
// `second` is sent this long after the response headers of `main`, because a `Date` has a resolution of 1 s. In ms.
const SECOND_AFTER = 2_100
// How long the other requests stay open after the end of `main`. In ms.
const AFTER_MAIN = 2_000
// A reconnect with the first id is sent after this number of ids, or after this share of the time.
const IDS = 4
const LATEST_RESUME = 0.3
// How long the body of a response without a stream is read. In ms.
const REFUSAL = 1_000

/**
 * Sends the requests of an examination. Resolves when its time is over, or when everything can be judged. All
 * connections are then closed.
 *
 * Rejects with `UsageError` if there is no HTTP connection to the endpoint.
 */
export async function gather(url: string | URL, options: ExamineOptions = {}): Promise<Evidence> {
  const gathering = new Gathering(targetOf(url, options), timeoutOf(options), options)
  try {
    return await gathering.run()
  } finally {
    gathering.close()
  }
}

class Gathering {
  readonly #target: Target
  readonly #timeout: number
  readonly #onProgress: (progress: Progress) => void
  readonly #signal: AbortSignal | undefined
  readonly #startedAt = performance.now()
  readonly #probes = new Map<ProbeName, Probe>()
  readonly #connection: Http2Connection
  #isBeside = false
  readonly #delays = monitorEventLoopDelay({ resolution: RESOLUTION })
  #wake = () => {}
  readonly #onAbort = () => this.#wake()

  constructor(target: Target, timeout: number, { onProgress, signal }: ExamineOptions) {
    this.#target = target
    this.#timeout = timeout
    this.#onProgress = onProgress ?? (() => {})
    this.#signal = signal
    this.#delays.enable()
    signal?.addEventListener('abort', this.#onAbort)
    this.#connection = new Http2Connection(target, () => this.#wake())
  }

  async run(): Promise<Evidence> {
    this.#open('main')
    while (!this.#isOver) {
      this.#advance()
      this.#onProgress({ elapsed: this.#elapsed, timeout: this.#timeout, step: this.#step })
      await this.#changed()
    }
    this.#checkConnection()
    return this.#evidence()
  }

  close(): void {
    this.#delays.disable()
    this.#signal?.removeEventListener('abort', this.#onAbort)
    this.#connection.close()
    for (const probe of this.#probes.values()) probe.close()
  }

  get #elapsed(): number {
    return performance.now() - this.#startedAt
  }

  get #exchanges(): Evidence['exchanges'] {
    const entries = [...this.#probes].map(([name, { exchange }]) => [name, exchange] as const)
    return Object.fromEntries(entries) as unknown as Evidence['exchanges']
  }

  get #main(): Probe {
    return this.#probes.get('main') as Probe
  }

  get #isOver(): boolean {
    if (this.#elapsed >= this.#timeout || this.#signal?.aborted) return true
    const { isDone, exchange } = this.#main
    if (exchange.status !== 200) return this.#isRefused
    const open = [...this.#probes].filter(([, probe]) => !probe.isDone).map(([name]) => name)
    if (!this.#isBeside || this.#connection.isPending || open.some(isAwaited)) return false
    if (this.#mayReconnect && !this.#probes.has('reconnect')) return false
    if (this.#mayResume && !this.#probes.has('resume')) return false
    if (isDone) return open.length === 0 || sinceStart(exchange) - exchange.endedAt >= AFTER_MAIN
    return isJudged(this.#exchanges, this.#elapsed)
  }

  /** Whether a reconnect with an id can be compared with `main`. */
  get #mayResume(): boolean {
    const { first, newest } = idsOf(this.#main.exchange)
    return this.#target.data === undefined && first !== newest && !hasControl({ first, newest })
  }

  /** Whether a browser would open the stream again. */
  get #mayReconnect(): boolean {
    const { isDone, exchange } = this.#main
    return isDone && exchange.end === 'ended' && this.#target.data === undefined
  }

  /** Whether `main` has shown that there is no stream to watch. */
  get #isRefused(): boolean {
    const { isDone, exchange } = this.#main
    const { status, headersAt = 0 } = exchange
    if (status === undefined) return isDone && !this.#connection.isPending && !this.#connection.isOpen
    return isDone || sinceStart(exchange) - headersAt >= REFUSAL
  }

  get #step(): string {
    const { exchange } = this.#main
    if (exchange.connectedAt === undefined) return 'connecting'
    if (exchange.headersAt === undefined) return 'waiting for the response headers'
    if (exchange.firstByteAt === undefined) return 'waiting for the first byte'
    if (exchange.events.length === 0) return 'waiting for an event or a heartbeat'
    return 'watching the events'
  }

  /** Sends the requests whose time has come, and closes those that have shown enough. */
  #advance(): void {
    const { isDone, exchange } = this.#main
    // The server supports only HTTP/2.
    if (isDone && exchange.status === undefined && this.#connection.isOpen) this.#openHttp2('main')
    const isBehind = exchange.status === undefined && !isDone && this.#elapsed >= HEAD_START
    if (exchange.status === 200 || isBehind) this.#openBeside()
    if (this.#isBeside) this.#openLater()
    for (const [name, probe] of this.#probes)
      if (!probe.isDone && isEnough(name, probe.exchange, sinceStart(probe.exchange))) probe.close()
  }

  #openBeside(): void {
    if (this.#connection.isOpen && this.#main.exchange.protocol === 'HTTP/1.1') this.#openHttp2('http2')
    if (this.#isBeside) return
    this.#isBeside = true
    for (const name of probesBeside(this.#target)) this.#open(name)
  }

  /** Sends the requests that depend on `main`. Sends none for a POST, because that would repeat its work. */
  #openLater(): void {
    if (this.#target.data !== undefined) return
    const { exchange } = this.#main
    const sinceHeaders = sinceStart(exchange) - (exchange.headersAt ?? 0)
    if (sinceHeaders >= Math.min(SECOND_AFTER, this.#timeout / 3)) this.#openOnce('second')
    const ids = idsOf(exchange)
    if (this.#mayResume && this.#hasManyIds) for (const name of PROBES_WITH_IDS) this.#openOnce(name, ids)
    if (hasControl(ids)) return
    if (this.#mayReconnect) this.#openOnce('reconnect', ids)
  }

  /** Whether a reconnect with the first id can show which events it skips, or no time is left to wait for more ids. */
  get #hasManyIds(): boolean {
    const { ids } = this.#main.exchange
    return ids.length >= IDS || this.#elapsed >= this.#timeout * LATEST_RESUME || this.#main.isDone
  }

  #openOnce(name: ProbeName, ids?: SeenIds): void {
    if (!this.#probes.has(name)) this.#open(name, ids)
  }

  #open(name: ProbeName, ids?: SeenIds): void {
    const request = requestOf(name, this.#target, ids)
    this.#probes.set(name, new Http1Probe(request, () => this.#wake()))
  }

  #openHttp2(name: ProbeName): void {
    this.#probes.set(name, this.#connection.send(requestOf(name, this.#target)))
  }

  /** Resolves at the next change, and after a tick without one. */
  #changed(): Promise<void> {
    return new Promise((resolve) => {
      const delay = Math.min(TICK, Math.max(1, this.#timeout - this.#elapsed))
      const timer = setTimeout(resolve, delay)
      this.#wake = () => {
        clearTimeout(timer)
        resolve()
      }
    })
  }

  #checkConnection(): void {
    const { exchange } = this.#main
    const { url } = this.#target
    const failure = connectionFailure(exchange, url)
    if (failure !== undefined) throw new UsageError(failure)
    if (exchange.connectedAt === undefined && !this.#signal?.aborted)
      throw new UsageError(`${url.host} accepted no connection within ${this.#timeout} ms.`)
  }

  #evidence(): Evidence {
    this.close()
    const { url, origin } = this.#target
    const exchanges = this.#exchanges
    return {
      url,
      origin,
      watched: exchanges.main.endedAt,
      stall: Math.max(0, this.#delays.max / 1e6 - RESOLUTION),
      exchanges,
    }
  }
}

/** Whether a header cannot contain an id, in which case a browser does not resume either. */
function hasControl({ first, newest }: SeenIds): boolean {
  return /\p{Cc}/u.test(first + newest)
}

/** Returns the first and the newest id of a stream. */
function idsOf({ ids }: Exchange): SeenIds {
  return { first: ids[0]?.id ?? '', newest: ids.at(-1)?.id ?? '' }
}

function sinceStart({ sentAt }: Exchange): number {
  return performance.timeOrigin + performance.now() - sentAt
}
