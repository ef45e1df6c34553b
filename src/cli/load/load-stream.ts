import { isAscii } from 'node:buffer'
import type { ClientRequest, IncomingMessage } from 'node:http'
import { MAX_TIME } from '../../check-options.ts'
import type { EventClock } from './clock.ts'
import { causeOfRefusal } from './connection.ts'
import type { DataReader } from './data-reader.ts'
import { EventScanner, type ScannerListener } from './event-scanner.ts'
import { Ledger } from './ledger.ts'
import type { Tally } from './tally.ts'
import type { LoadMonitor } from './worker-load.ts'

/** What the streams of one mix in a worker share. */
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
  /** Begins a request. `index` is that of the stream. */
  request(lastEventId: string, index: number): ClientRequest
}

/** One stream: a connection after another, as `EventSource` opens them. */
export class LoadStream implements ScannerListener {
  readonly isSlow: boolean
  readonly #index: number
  readonly #context: StreamContext
  readonly #ledger: Ledger
  #request: ClientRequest | undefined
  #response: IncomingMessage | undefined
  #scanner: EventScanner | undefined
  #timer: NodeJS.Timeout | undefined
  #lastEventId = ''
  #retry: number
  #hasOpened = false
  #isStopped = false
  #events = 0
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

  /** True while there is a connection, or one is being opened. */
  get isConnected(): boolean {
    return this.#request !== undefined
  }

  /** True if no number up to `highest` is still to be expected. */
  hasReached(highest: number): boolean {
    return this.#response === undefined || this.isSlow || this.#ledger.hasReached(highest)
  }

  /** Opens a connection whose intended time may be past. Durations count from then. */
  open(intendedAt: number): void {
    if (this.#isStopped) return
    this.#intendedAt = intendedAt
    const request = this.#begin()
    if (!request) return
    this.#request = request
    request.on('response', (response) => this.#respond(request, response))
    request.on('error', (error: NodeJS.ErrnoException) => this.#fail(request, error.code ?? error.message))
    request.on('close', () => this.#fail(request, 'cut'))
    request.end()
  }

  #begin(): ClientRequest | undefined {
    try {
      return this.#context.request(this.#lastEventId, this.#index)
    } catch {
      // RFC 9110 5.5: an id may have characters that a header may not have, such as U+0001.
      this.#refuse('Last-Event-ID')
      return undefined
    }
  }

  /** Cuts the connection as a network does, and reconnects. */
  cut(): void {
    if (!this.#request) return
    this.#context.tally.counts.cuts += 1
    this.#reconnect()
  }

  /** Ends the stream. */
  stop(): void {
    this.#isStopped = true
    clearTimeout(this.#timer)
    this.#disconnect()
  }

  /** Counts what has not arrived by the end. */
  settle(highest: number): void {
    const { tally, isSharedSequence } = this.#context
    const isTailKnown = isSharedSequence && this.#response !== undefined && !this.isSlow
    this.#ledger.settle(highest, isTailKnown)
    const isSilent = this.#events === 0 || (highest >= 0 && !this.#ledger.hasBegun)
    if (this.#hasOpened && isSilent) tally.counts.silent += 1
    if (this.#response) this.#noteSilence(performance.now())
    else if (this.#request) {
      tally.counts.waiting += 1
      tally.record('headers', performance.now() - this.#intendedAt)
    }
    this.#leaveUndecided()
  }

  onEvent(name: string, data: string, id: string): void {
    const { tally, reader, gapEvent } = this.#context
    const { counts } = tally
    counts.events += 1
    this.#events += 1
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

  onHeartbeat(): void {
    const { tally } = this.#context
    tally.counts.heartbeats += 1
    if (this.#heartbeatAt !== 0) tally.record('heartbeat', this.#arrivedAt - this.#heartbeatAt)
    this.#heartbeatAt = this.#arrivedAt
  }

  onRetry(ms: number): void {
    this.#retry = ms
  }

  #recordDelay(time: number): void {
    const { tally, clock } = this.#context
    tally.counts.timed += 1
    const delay = clock.at(this.#arrivedAt) - time
    // A server that cuts its times to whole ms is up to 1 ms early at most.
    if (delay < -1) {
      tally.counts.early += 1
      return
    }
    const isReplay = time < clock.at(this.#openedAt)
    tally.record(this.isSlow ? 'slowDelay' : isReplay ? 'replayDelay' : 'delay', delay)
  }

  #respond(request: ClientRequest, response: IncomingMessage): void {
    if (request !== this.#request) {
      response.destroy()
      return
    }
    const cause = causeOfRefusal(response)
    if (cause === undefined) this.#accept(request, response)
    else this.#refuse(cause)
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

  #accept(request: ClientRequest, response: IncomingMessage): void {
    const { tally, startedAt } = this.#context
    const now = performance.now()
    tally.record('headers', now - this.#intendedAt)
    tally.counts.open += 1
    if (!this.#hasOpened) {
      this.#hasOpened = true
      tally.counts.opened += 1
      tally.record('opening', now - startedAt)
    }
    this.#response = response
    this.#openedAt = now
    this.#arrivedAt = now
    this.#heartbeatAt = 0
    this.#beginNumbers()
    this.#scanner = new EventScanner(this, this.#lastEventId)
    let isFirst = true
    response.on('data', (chunk: Buffer) => {
      if (response !== this.#response) return
      if (isFirst) tally.record('firstByte', performance.now() - this.#intendedAt)
      isFirst = false
      this.#read(response, chunk)
    })
    response.on('end', () => this.#end(request))
    // Of a connection that was cut. `close` without `end` follows in any case.
    response.on('error', () => {})
    response.on('close', () => this.#fail(request, 'cut'))
  }

  #beginNumbers(): void {
    const { isSharedSequence } = this.#context
    if (!isSharedSequence && this.#lastEventId === '') this.#ledger.forget()
    if (this.#lastEventId === '') this.#ledger.restart()
    else this.#ledger.resume()
  }

  #read(response: IncomingMessage, chunk: Buffer): void {
    const { tally, monitor, slowRate } = this.#context
    const now = performance.now()
    monitor.read(now)
    this.#noteSilence(now)
    this.#arrivedAt = now
    tally.counts.bytes += chunk.length
    try {
      this.#scanner?.feed(chunk, isAscii(chunk))
    } catch {
      // The only error is that of an event which is too long.
      if (this.#request) this.#fail(this.#request, 'event too long')
      return
    }
    if (!this.isSlow) return
    response.pause()
    const pause = Math.min((chunk.length / slowRate) * 1000, MAX_TIME)
    setTimeout(() => response.resume(), pause).unref()
  }

  // A slow stream is silent because of this tool.
  #noteSilence(now: number): void {
    const { tally } = this.#context
    const silence = now - this.#arrivedAt
    if (silence > tally.longestSilence && !this.isSlow) tally.longestSilence = silence
  }

  #leaveUndecided(): void {
    if (this.#ledger.isResuming) this.#context.tally.counts.undecided += 1
    this.#ledger.restart()
  }

  #end(request: ClientRequest): void {
    if (request !== this.#request) return
    this.#context.tally.counts.ends += 1
    this.#reconnect()
  }

  #fail(request: ClientRequest, cause: string): void {
    if (request !== this.#request) return
    this.#context.tally.fail(cause)
    this.#reconnect()
  }

  #disconnect(): void {
    const request = this.#request
    if (this.#response) {
      this.#context.tally.counts.open -= 1
      this.#noteSilence(performance.now())
    }
    this.#leaveUndecided()
    if (this.#scanner) this.#lastEventId = this.#scanner.lastEventId
    this.#request = undefined
    this.#response = undefined
    this.#scanner = undefined
    request?.destroy()
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
