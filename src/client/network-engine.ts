import { backoff, probeDelay, setDeadline } from './backoff.ts'
import { clientError, type SseClientError } from './client-error.ts'
import type { Engine, EngineListener, ReceivedEvent } from './engine.ts'
import { Fallback, type TransportReason } from './fallback.ts'
import { deliverPage, type Page, requestPage } from './long-poll.ts'
import { onPageEvent } from './page-events.ts'
import { requestStream, type StreamOwner } from './read-stream.ts'
import type { Requester } from './request.ts'

/** Reading stops while this many events wait for a loop. */
const MAX_BACKLOG = 64

/**
 * The connection of a page to a server: one stream or a chain of long polls, and for a moment both. Only one of them
 * delivers. The other one is aborted before it delivers, or begins after the last event that was delivered.
 */
export class NetworkEngine implements Engine, StreamOwner {
  lastEventId: string
  openedAt = 0
  paused: Promise<void> | undefined
  readonly #requester: Requester
  readonly #listener: EngineListener
  readonly #fallback = new Fallback()
  readonly #lifetime = new AbortController()
  // The stream that delivers, that races a poll, or that is a probe beside the polls.
  #stream: AbortController | undefined
  #poll: AbortController | undefined
  // Why there is a poll although the transport is still the stream.
  #suspicion: TransportReason | undefined
  // Why the transport was chosen, for the next `onOpen`.
  #reason: TransportReason | undefined
  #probeReason: TransportReason | undefined
  #isEstablished = false
  #hasGap = false
  #retry = 2000
  #failures = 0
  #cuts = 0
  #probes = 0
  #timer: ReturnType<typeof setTimeout> | undefined
  #probeTimer: ReturnType<typeof setTimeout> | undefined
  #resume = () => {}

  constructor(requester: Requester, listener: EngineListener, lastEventId: string) {
    this.#requester = requester
    this.#listener = listener
    this.lastEventId = lastEventId
    onPageEvent((isNetwork) => {
      if (!isNetwork) return
      this.#probe('online')
      if (this.#timer) this.#connect()
    }, this.#lifetime.signal)
    void this.#openStream()
  }

  close(): void {
    this.#lifetime.abort()
    this.#stop()
    this.setBacklog(0)
  }

  setBacklog(count: number): void {
    const isPaused = count >= MAX_BACKLOG
    if (!isPaused) this.#resume()
    this.paused = isPaused ? (this.paused ?? new Promise((resolve) => (this.#resume = resolve))) : undefined
  }

  // --- Requests

  get isClosed(): boolean {
    return this.#lifetime.signal.aborted
  }

  get #canRepeat(): boolean {
    return this.#requester.canSend(this.lastEventId)
  }

  async #openStream(): Promise<void> {
    if (this.isClosed) return
    const controller = new AbortController()
    this.#stream = controller
    let error: unknown
    try {
      if (!(await requestStream(this.#requester, this, this.lastEventId, controller.signal))) this.#end()
    } catch (reason) {
      error = reason
    }
    // Otherwise it was aborted.
    if (this.#stream !== controller) return
    if (this.#fallback.isPolling) this.#endProbe()
    else this.#onStreamEnd(error as SseClientError | undefined)
  }

  onUrl(url: URL): void {
    if (this.#fallback.open(url)) {
      this.#stream = undefined
      this.#choose(true, this.#fallback.reason)
      this.#requester.reason = undefined
      this.#connect()
      throw undefined
    }
    if (this.#fallback.isPadded) url.searchParams.set('padded', '1')
  }

  async #startPoll(): Promise<void> {
    if (this.isClosed) return
    const controller = new AbortController()
    this.#poll = controller
    await this.paused
    const startedAt = Date.now()
    // A server holds a poll for at most 25 s by default.
    const timeOut = () => controller.abort(clientError('ERR_SSE_SILENT', 'No response'))
    const clear = setDeadline(60_000, timeOut, controller.signal)
    try {
      const page = await requestPage(this.#requester, this.lastEventId, !!this.#suspicion, controller.signal)
      if (this.#poll !== controller) return
      if (page) this.#onPage(page, Date.now() - startedAt)
      else this.#end()
    } catch (error) {
      if (this.#poll === controller) this.#onPollError(error as SseClientError)
    } finally {
      clear()
    }
  }

  /** Ends all requests but one, and the wait for the next one. */
  #stop(kept?: AbortController): void {
    clearTimeout(this.#timer)
    clearTimeout(this.#probeTimer)
    const requests = [this.#stream, this.#poll]
    this.#stream = kept
    this.#poll = this.#suspicion = this.#timer = undefined
    for (const request of requests) if (request !== kept) request?.abort()
  }

  #connect(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    if (this.#fallback.isPolling || this.#suspicion) void this.#startPoll()
    else void this.#openStream()
  }

  /** Connects after a time in ms, at most an hour. */
  #schedule(ms: number): void {
    if (!this.isClosed) this.#timer = setTimeout(() => this.#connect(), Math.min(ms, 3_600_000))
  }

  #backOff(delay = 0): void {
    this.#schedule(delay + backoff(this.#retry, this.#failures++))
  }

  #fail(error: SseClientError): void {
    const isFinal = error.isFinal || !this.#canRepeat
    if (isFinal) this.close()
    else this.#backOff(error.retryAfter)
    this.#listener.onError(error, isFinal)
  }

  #end(): void {
    this.close()
    this.#listener.onEnd()
  }

  #opened(): void {
    const reason = this.#reason
    this.#reason = undefined
    this.#failures = 0
    this.#listener.onOpen({ transport: this.#requester.transport, reason })
  }

  #choose(isPolling: boolean, reason?: TransportReason): void {
    this.#isEstablished = false
    const isPadded = this.#fallback.isPadded && !isPolling
    this.#fallback.learn({ isPolling, reason, isPadded })
    this.#requester.transport = isPolling ? 'json' : 'event-stream'
    this.#reason = this.#requester.reason = reason
  }

  // --- The stream

  onSuspicion(reason: TransportReason): void {
    if (this.#fallback.isPolling) this.#endProbe()
    else if (!this.#poll) this.#suspect(reason)
  }

  onFirstByte(start: string): void {
    this.#stop(this.#stream)
    if (this.#fallback.isPolling) this.#choose(false, this.#probeReason)
    // Polls have delivered events since the probe began, so it would repeat them.
    if (start !== this.lastEventId) this.#reopen()
    else this.#opened()
  }

  onEvent(event: ReceivedEvent): void {
    this.lastEventId = event.id
    if (event.event === 'gap') this.#hasGap = true
    if (event.event !== 'position' || event.data !== '{}') this.#listener.onEvent(event)
  }

  onRetry(ms: number): void {
    this.#retry = Number(ms) || 0
  }

  onRead(id: string): void {
    this.lastEventId = id
    this.#listener.onAlive?.()
    const isNew = this.#fallback.isNewEpoch(id, this.#hasGap)
    this.#hasGap = false
    if (isNew) this.#probe('retry')
  }

  onSilent(isMute: boolean): void {
    const error = clientError('ERR_SSE_SILENT', 'No heartbeat')
    this.#stop()
    if (this.#canRepeat) {
      this.#listener.onError(error, false)
      if (!isMute || !this.#suspect('silent')) this.#reopen('silent')
    } else this.#fail(error)
  }

  #onStreamEnd(error: SseClientError | undefined): void {
    this.#stop()
    const isOld = !error || Date.now() - this.openedAt >= 5000
    if (this.openedAt) this.#cuts = isOld ? 0 : this.#cuts + 1
    if (error && !(this.#cuts > 2 && !error.isFinal && this.#suspect('cuts'))) this.#fail(error)
    else if (!this.#canRepeat) this.#end()
    else {
      if (!error) this.#schedule(this.#retry)
      this.#listener.onError(error, false)
    }
  }

  #reopen(reason?: TransportReason): void {
    this.#stop()
    if (reason) this.#reason = this.#requester.reason = reason
    void this.#openStream()
  }

  // --- The poll

  /** Asks for padded heartbeats where they may help, or polls. Returns whether it did. */
  #suspect(reason: TransportReason): boolean {
    const { isPadded, lacksPoll } = this.#fallback
    if (lacksPoll || !this.#canRepeat) return false
    if (isPadded === undefined && reason !== 'no-headers' && reason !== 'cuts') {
      this.#fallback.learn({ isPadded: true })
      this.#reopen(reason)
      return true
    }
    // A stream that has not responded may still win.
    if (!reason.startsWith('no-')) this.#stop()
    this.#suspicion = reason
    this.#cuts = 0
    void this.#startPoll()
    return true
  }

  #onPage(page: Page, duration: number): void {
    this.#poll = undefined
    const reason = this.#suspicion
    if (reason) {
      this.#stop()
      this.#choose(true, reason)
    }
    const isFirst = !this.#isEstablished
    if (isFirst) this.#endProbe()
    if (isFirst || this.#failures) this.#opened()
    this.#isEstablished = true
    deliverPage(page, this)
    // A server that does not hold a poll is not asked again at once.
    const wait = page.retry || (page.events.length || duration > 1000 ? 0 : 1000)
    // A timer would be throttled in a hidden page.
    if (wait) this.#schedule(wait)
    else this.#connect()
  }

  #onPollError(error: SseClientError): void {
    const { code, isFinal, status } = error
    const isRace = this.#suspicion && this.#stream
    this.#poll = undefined
    // Until a page has arrived, any refusal may be one of the format.
    const lacksPoll = isFinal && (!this.#isEstablished || code !== 'ERR_SSE_STATUS' || status === 406)
    if (lacksPoll || !isRace) this.#suspicion = undefined
    if (lacksPoll) {
      clearTimeout(this.#probeTimer)
      this.#choose(false)
      this.#fallback.learn({ lacksPoll })
      if (!this.#stream) void this.#openStream()
    } else if (isRace) this.#backOff()
    else this.#fail(error)
  }

  // --- The way back

  /** Opens a stream beside the polls, if there are polls. Its first byte decides. */
  #probe(reason: TransportReason): void {
    if (!this.#fallback.isPolling || this.#stream) return
    clearTimeout(this.#probeTimer)
    this.#probeReason = reason
    void this.#openStream()
  }

  /** Ends a probe that has failed, and plans the next one. */
  #endProbe(): void {
    const stream = this.#stream
    this.#stream = undefined
    stream?.abort()
    this.#probeTimer = setTimeout(() => this.#probe('retry'), probeDelay(this.#probes++))
  }
}
