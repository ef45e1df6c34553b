import { isAscii } from 'node:buffer'
import type { IncomingHttpHeaders } from 'node:http'
import { MAX_TIME } from '../../check-options.ts'
import type { EventClock } from './clock.ts'
import type { DataReader } from './data-reader.ts'
import { EventScanner, type ScannerListener } from './event-scanner.ts'
import { canBeSent, causeOfRefusal, streamRequest } from './event-source.ts'
import { Ledger } from './ledger.ts'
import type { Tally } from './tally.ts'
import type { Exchange, Failure, ResponseListener, Transport } from './transport.ts'
import type { LoadMonitor } from './worker-load.ts'

/** The comments with which a stream may begin: an empty one, so that proxies forward the headers, and its interval. */
const PREAMBLE = [/^$/, /^heartbeat \d+$/]

/** The state that the streams of one mix in a worker share. */
export interface StreamContext {
  readonly tally: Tally
  readonly reader: DataReader
  readonly clock: EventClock
  readonly monitor: LoadMonitor
  readonly gapEvent: string
  readonly isSharedSequence: boolean
  readonly retry: number
  readonly slowRate: number
  /** The intended time of the first stream, as a time of `performance.now()`. */
  readonly startedAt: number
  /** Numbers that were not published, in ascending order. More are added during the run. */
  readonly unpublished: readonly number[]
  readonly headers: Readonly<Record<string, string>>
  readonly transport: Transport
}

/** One stream, which sends one request after another, as `EventSource` does. */
export class LoadStream implements ScannerListener, ResponseListener {
  readonly isSlow: boolean
  readonly #index: number
  readonly #context: StreamContext
  readonly #ledger: Ledger
  #exchange: Exchange | undefined
  /** Exists while the stream is open. */
  #scanner: EventScanner | undefined
  #timer: NodeJS.Timeout | undefined
  #lastEventId = ''
  #retry: number
  #hasOpened = false
  #hasBody = false
  #isStopped = false
  #events = 0
  /** The number of comments of the preamble so far, or all of them if it has ended. */
  #preamble = 0
  // Times of `performance.now()`, or 0.
  #openedAt = 0
  #intendedAt = 0
  #arrivedAt = 0
  #heartbeatAt = 0

  constructor(index: number, isSlow: boolean, context: StreamContext) {
    this.#index = index
    this.isSlow = isSlow
    this.#context = context
    this.#retry = context.retry
    this.#ledger = new Ledger(context.tally.counts, context.unpublished)
  }

  /** True while the stream is connecting or connected. */
  get isConnected(): boolean {
    return this.#exchange !== undefined
  }

  /** True if no number up to `highest` is missing. */
  hasReached(highest: number): boolean {
    return this.#scanner === undefined || this.isSlow || this.#ledger.hasReached(highest)
  }

  /** Opens a connection. Durations count from its intended time, which may be in the past. */
  open(intendedAt: number): void {
    if (this.#isStopped) return
    const { transport, headers } = this.#context
    this.#intendedAt = intendedAt
    if (!canBeSent(this.#lastEventId)) {
      this.#refuse('Last-Event-ID')
      return
    }
    const request = streamRequest(headers, this.#lastEventId)
    this.#exchange = transport.send({ ...request, index: this.#index, isSlow: this.isSlow }, this)
  }

  /** Cuts the connection, as a network failure does, and reconnects. */
  cut(): void {
    if (!this.#exchange) return
    this.#context.tally.counts.cuts += 1
    this.#reconnect()
  }

  /** Ends the stream. */
  stop(): void {
    this.#isStopped = true
    clearTimeout(this.#timer)
    this.#disconnect()
  }

  /** Counts the numbers that have not arrived by the end. */
  settle(highest: number): void {
    const { tally, isSharedSequence } = this.#context
    const isTailKnown = isSharedSequence && this.#scanner !== undefined && !this.isSlow
    this.#ledger.settle(highest, isTailKnown)
    const isSilent = this.#events === 0 || (highest >= 0 && !this.#ledger.hasBegun)
    if (this.#hasOpened && isSilent) tally.counts.silent += 1
    if (this.#scanner) this.#noteSilence(performance.now())
    else if (this.#exchange) {
      tally.counts.waiting += 1
      tally.record('headers', performance.now() - this.#intendedAt)
    }
    this.#countUndecided()
  }

  onResponse(status: number, headers: IncomingHttpHeaders): void {
    const cause = causeOfRefusal(status, headers)
    if (cause === undefined) this.#accept()
    else this.#refuse(cause)
  }

  onBody(chunk: Buffer): void {
    const { tally } = this.#context
    const now = performance.now()
    if (!this.#hasBody) tally.record('firstByte', now - this.#intendedAt)
    this.#hasBody = true
    this.#read(chunk, now)
  }

  onEnd(): void {
    this.#context.tally.counts.ends += 1
    this.#reconnect()
  }

  onFailure({ code, message }: Failure): void {
    this.#fail(code ?? message)
  }

  onEvent(name: string, data: string, id: string): void {
    const { tally, reader, gapEvent } = this.#context
    const { counts } = tally
    counts.events += 1
    this.#events += 1
    this.#preamble = PREAMBLE.length
    if (name === gapEvent) {
      counts.gaps += 1
      this.#ledger.gap()
      return
    }
    const { time, number } = reader.read(data, id)
    if (Number.isNaN(time)) counts.untimed += 1
    else this.#recordDelay(time)
    if (Number.isNaN(number)) return
    counts.numbered += 1
    if (number > tally.highest) tally.highest = number
    this.#ledger.receive(number)
  }

  onHeartbeat(comment?: string): void {
    if (!this.#isPreamble(comment)) this.#recordHeartbeat()
    this.#heartbeatAt = this.#arrivedAt
  }

  onRetry(ms: number): void {
    this.#retry = ms
  }

  #isPreamble(comment: string | undefined): boolean {
    const isPart = comment !== undefined && PREAMBLE[this.#preamble]?.test(comment) === true
    this.#preamble = isPart ? this.#preamble + 1 : PREAMBLE.length
    return isPart
  }

  #recordHeartbeat(): void {
    const { tally } = this.#context
    tally.counts.heartbeats += 1
    if (this.#heartbeatAt !== 0) tally.record('heartbeat', this.#arrivedAt - this.#heartbeatAt)
  }

  #recordDelay(time: number): void {
    const { tally, clock } = this.#context
    tally.counts.timed += 1
    const delay = clock.at(this.#arrivedAt) - time
    // A server that truncates its times to whole ms is up to 1 ms early.
    if (delay < -1) {
      tally.counts.early += 1
      return
    }
    const isReplay = time < clock.at(this.#openedAt)
    tally.record(this.isSlow ? 'slowDelay' : isReplay ? 'replayDelay' : 'delay', delay)
  }

  #refuse(cause: string): void {
    const { tally } = this.#context
    if (cause === '204') tally.counts.noContent += 1
    else {
      tally.counts.failed += 1
      tally.fail(cause)
    }
    this.stop()
  }

  #accept(): void {
    const { tally, startedAt } = this.#context
    const now = performance.now()
    tally.record('headers', now - this.#intendedAt)
    tally.counts.open += 1
    if (!this.#hasOpened) {
      this.#hasOpened = true
      tally.counts.opened += 1
      tally.record('opening', now - startedAt)
    }
    this.#openedAt = now
    this.#arrivedAt = now
    this.#heartbeatAt = 0
    this.#hasBody = false
    this.#preamble = 0
    this.#beginNumbers()
    this.#scanner = new EventScanner(this, this.#lastEventId)
  }

  #beginNumbers(): void {
    if (this.#lastEventId !== '') this.#ledger.resume()
    else if (this.#context.isSharedSequence) this.#ledger.restart()
    else this.#ledger.clear()
  }

  #read(chunk: Buffer, now: number): void {
    const { tally, monitor, slowRate } = this.#context
    monitor.read(now)
    this.#noteSilence(now)
    this.#arrivedAt = now
    tally.counts.bytes += chunk.length
    try {
      this.#scanner?.feed(chunk, isAscii(chunk))
    } catch {
      // The only error is that of an event which is too long.
      this.#fail('event too long')
      return
    }
    const exchange = this.#exchange
    if (!this.isSlow || !exchange) return
    exchange.pause()
    const pause = Math.min((chunk.length / slowRate) * 1000, MAX_TIME)
    setTimeout(() => exchange.resume(), pause).unref()
  }

  // Omits slow streams, because this tool makes them silent.
  #noteSilence(now: number): void {
    const { tally } = this.#context
    const silence = now - this.#arrivedAt
    if (silence > tally.longestSilence && !this.isSlow) tally.longestSilence = silence
  }

  #countUndecided(): void {
    if (this.#ledger.isResuming) this.#context.tally.counts.undecided += 1
    this.#ledger.restart()
  }

  #fail(cause: string): void {
    this.#context.tally.fail(cause)
    this.#reconnect()
  }

  #disconnect(): void {
    const exchange = this.#exchange
    if (this.#scanner) {
      this.#context.tally.counts.open -= 1
      this.#noteSilence(performance.now())
    }
    this.#countUndecided()
    if (this.#scanner) this.#lastEventId = this.#scanner.lastEventId
    this.#exchange = undefined
    this.#scanner = undefined
    exchange?.destroy()
  }

  #reconnect(): void {
    this.#disconnect()
    if (this.#isStopped) return
    const intendedAt = performance.now() + this.#retry
    this.#timer = setTimeout(
      () => {
        const { counts } = this.#context.tally
        counts.reconnects += 1
        if (this.#lastEventId === '') counts.reconnectsWithoutId += 1
        this.open(intendedAt)
      },
      Math.min(this.#retry, MAX_TIME),
    )
  }
}
