import { backoff, probeDelay, setDeadline } from './backoff.ts'
import { clientError, type SseClientError } from './client-error.ts'
import type { Engine, EngineListener, ReceivedEvent, TransportName } from './engine.ts'
import { Fallback, type TransportReason } from './fallback.ts'
import { deliverPage, type Page, readPage } from './long-poll.ts'
import { onPageEvent } from './page-events.ts'
import { readStream, type StreamOwner } from './read-stream.ts'
import { absolute, type Body, bodyOf, type FetchOptions, type RequestUrl, resolveValue } from './request.ts'
import { setTarget } from './target.ts'

/**
 * The connection of a page to a server. The main request is of the transport in use, which is a stream or a chain of
 * long polls. A rival is of the other transport, for example a poll beside a stream that seems held, or a probe of the
 * stream beside polls. A rival that responds in time becomes the main request, and continues after the last delivered
 * event.
 */
export class NetworkEngine implements Engine, StreamOwner {
  declare lastEventId: string
  declare paused: Promise<void> | undefined
  readonly #url: RequestUrl
  readonly #options: FetchOptions
  readonly #listener: EngineListener
  readonly #fallback = new Fallback()
  readonly #lifetime = new AbortController()
  // Aborted when it has ended.
  #main = new AbortController()
  // Undefined when it has ended.
  #rival: AbortController | undefined
  #rivalReason: TransportReason | undefined
  // The reason of the chosen transport, which the next request reports.
  #report: TransportReason | undefined
  // A parameter of the main request that only the library needs, if it has one.
  #mark: string | false | undefined
  #isSent = false
  // Whether the transport in use has responded, and has not failed since.
  #isOpen = false
  // The time at which the stream was opened, or the last page arrived.
  #openedAt = 0
  #retry = 2000
  #failures = 0
  #cuts = 0
  #probes = 0
  #resume = () => {}

  constructor(url: RequestUrl, options: FetchOptions, listener: EngineListener, lastEventId: string) {
    this.#url = url
    this.#options = options
    this.#listener = listener
    this.lastEventId = lastEventId
    onPageEvent((name) => {
      const isOnline = name === 'online'
      if (isOnline && this.#fallback.isPolling) this.#startRival(name)
      // Requests in progress or planned belong to another network. In Chromium, a body that received bytes while its
      // page was frozen is not read any more.
      if (isOnline ? this.#failures : name === 'resume' && this.#canSend) this.#start()
    }, this.#lifetime.signal)
    this.#start()
  }

  close(): void {
    this.#lifetime.abort()
    this.#main.abort()
    this.#stopRival()
    this.setBacklog(0)
  }

  setBacklog(count: number): void {
    // Reading stops while this number of events waits for a loop.
    if (count > 63) this.paused ??= new Promise((resolve) => (this.#resume = resolve))
    else {
      this.#resume()
      this.paused = undefined
    }
  }

  // --- Requests

  /** Whether a request may be sent, because it is the first one, resumes, or may be repeated. */
  get #canSend(): boolean {
    const { method = 'GET', idempotent = /^get$/i.test(method) } = this.#options
    return !this.#isSent || idempotent || !!this.lastEventId
  }

  /** Replaces the main request by one that is sent after a time in ms. */
  #start(delay = 0): void {
    this.#main.abort()
    this.#main = this.#request(delay)
    this.#isOpen &&= this.#fallback.isPolling
  }

  /** Replaces the rival by one that is sent after a time in ms. */
  #startRival(reason: TransportReason | undefined, delay = 0): void {
    this.#stopRival()
    this.#rival = this.#request(delay)
    this.#rivalReason = reason
  }

  #stopRival(): void {
    this.#rival?.abort()
    this.#rival = undefined
  }

  /** Sends a request after a time in ms. MUST NOT be called after the listener, which may close the connection. */
  #request(delay: number): AbortController {
    const request = new AbortController()
    this.#exchange(request, delay).then(
      () => this.#onEnd(request),
      // A function of the application may reject without an error, which would count as a clean end.
      (error) => this.#onEnd(request, error || new Error(`Rejected with ${error}`)),
    )
    return request
  }

  /** Sends a request after a time in ms, and reads the response. */
  async #exchange(request: AbortController, delay: number): Promise<void> {
    const { signal } = request
    if (delay) await new Promise<void>((resolve) => setDeadline(delay, resolve, signal))
    await this.paused
    const url = absolute(await resolveValue(this.#url))
    const headers = new Headers(await resolveValue(this.#options.headers))
    signal.throwIfAborted()
    // The id may have been reset since this request was planned.
    if (!this.#canSend) return
    this.#fallback.open(`${this.#options.method} ${url.origin}${url.pathname}`)
    const isRival = request === this.#rival
    const isPoll = isRival !== this.#fallback.isPolling
    const start = this.lastEventId
    const reason = this.#report
    const padded = !isPoll && this.#fallback.isPadded && '1'
    if (!isRival) this.#mark = reason || padded
    this.#report = undefined
    const transport = reason && this.#transport
    // A race does not wait long for events, so the transport is chosen within 2 s on a quiet channel.
    const hold = isPoll && isRival && '300'
    setTarget(url, headers, start, { transport, reason, format: isPoll && 'json', hold, padded })
    await (isPoll ? this.#poll(request, url, headers) : this.#stream(signal, url, headers, start))
  }

  async #stream(signal: AbortSignal, url: URL, headers: Headers, start: string): Promise<void> {
    const clear = setDeadline(1500, () => this.onSuspicion('no-headers'), signal)
    const body = await this.#send(signal, url, headers, 'text/event-stream', 'no-store')
    clear()
    const clearNext = setDeadline(500, () => this.onSuspicion('no-first-byte'), signal)
    await readStream(body, this, start, signal, clearNext)
  }

  async #poll(request: AbortController, url: URL, headers: Headers): Promise<void> {
    const { signal } = request
    setDeadline(60_000, () => this.#onEnd(request, clientError('ERR_SSE_SILENT', 'No data')), signal)
    const page = await readPage(await this.#send(signal, url, headers, 'application/json'))
    if (!signal.aborted) this.#onPage(page, signal)
  }

  /** Sends a request. Returns the body of a response with a media type. */
  async #send(signal: AbortSignal, url: URL, headers: Headers, type: string, cache?: string): Promise<Body> {
    const send = this.#options.fetch ?? fetch
    headers.set('accept', type)
    this.#isSent = true
    const response = await send(url, { ...this.#options, headers, signal, cache } as RequestInit)
    signal.throwIfAborted()
    // A rival has a format that the server may lack. The main request then gets the 204 that ends the connection.
    if (response.status === 204 && signal !== this.#rival?.signal) {
      this.close()
      this.#listener.onError(undefined, true)
    }
    // Throws for 204, which is ignored because the request is aborted.
    return bodyOf(response, type)
  }

  /** Ends a request that has failed, or whose response has ended. */
  #onEnd(request: AbortController, error?: SseClientError): void {
    if (request.signal.aborted) return
    request.abort()
    const isRival = request === this.#rival
    if (isRival) this.#rival = undefined
    if (isRival !== this.#fallback.isPolling) this.#onPollError(error)
    else if (isRival) this.#planProbe()
    else this.#onStreamEnd(error)
  }

  #onStreamEnd(error: SseClientError | undefined): void {
    this.#stopRival()
    if (error?.isFinal && this.#mark && !this.#isOpen) {
      // A server that validates its query may refuse a parameter that it does not know.
      this.#fallback.learn({ isPadded: false })
      this.#start()
    } else {
      if (this.#isOpen) this.#cuts = error && Date.now() - this.#openedAt < 5000 ? this.#cuts + 1 : 0
      if (this.#cuts < 3 || !this.#tryFallback('cuts', error)) this.#onLost(error)
    }
  }

  /** Reports a loss of the main request, and sends another one after a time in ms if that is allowed. */
  #onLost(error: SseClientError | undefined, delay = this.#delayAfter(error)): void {
    const isFinal = error?.isFinal || !this.#canSend
    this.#isOpen = false
    if (isFinal) this.close()
    else this.#start(delay)
    this.#listener.onError(error, isFinal)
  }

  #delayAfter(error: SseClientError | undefined): number {
    if (!error) return Math.max(this.#retry, 100)
    return (error.retryAfter ?? 0) + backoff(this.#retry, this.#failures++)
  }

  get #transport(): TransportName {
    return this.#fallback.isPolling ? 'json' : 'event-stream'
  }

  #opened(): void {
    this.#isOpen = true
    this.#openedAt = Date.now()
    this.#failures = 0
    this.#listener.onOpen({ transport: this.#transport, reason: this.#fallback.reason })
  }

  #adoptRival(): void {
    const { isPolling, isPadded } = this.#fallback
    this.#main.abort()
    this.#main = this.#rival as AbortController
    this.#rival = undefined
    this.#setReason(this.#rivalReason)
    this.#fallback.learn({ isPolling: !isPolling, isPadded: isPadded && isPolling })
  }

  // --- The stream

  onSuspicion(reason: TransportReason): void {
    if (this.#fallback.isPolling) this.#planProbe()
    else if (!this.#rival) this.#tryFallback(reason)
  }

  onFirstByte(start: string): void {
    if (this.#fallback.isPolling) this.#adoptRival()
    else this.#stopRival()
    // Polls have delivered events since the probe began, so the probe would repeat them.
    if (start !== this.lastEventId) this.#start()
    else this.#opened()
  }

  onEvent(event: ReceivedEvent): void {
    if (event.event === 'gap') this.#reset()
    if (event.event !== 'position' || event.data !== '{}') this.#listener.onEvent(event)
  }

  onRetry(ms: unknown): void {
    this.#retry = Number(ms ?? this.#retry) || 0
  }

  onRead(): void {
    this.#listener.onAlive()
    if (this.#fallback.isNewEpoch(this.lastEventId)) this.#reset()
  }

  onSilent(isMute: boolean): void {
    const error = clientError('ERR_SSE_SILENT', 'No data')
    if (isMute && this.#tryFallback('silent', error)) return
    this.#setReason('silent')
    this.#onLost(error, 0)
  }

  #setReason(reason: TransportReason | undefined): void {
    this.#report = this.#fallback.reason = reason
  }

  /** Requests padded heartbeats if they may help, otherwise polls. Returns whether it did either. Reports `error`. */
  #tryFallback(reason: TransportReason, error?: SseClientError): boolean {
    const { isPadded, lacksPoll } = this.#fallback
    if (lacksPoll || !this.#canSend) return false
    if (isPadded === undefined && reason !== 'no-headers' && reason !== 'cuts') {
      this.#setReason(reason)
      this.#fallback.learn({ isPadded: true })
      this.#start()
    } else {
      // A stream that has not responded may still win the race.
      if (this.#isOpen) this.#main.abort()
      this.#isOpen = false
      this.#cuts = 0
      this.#startRival(reason)
    }
    if (error) this.#listener.onError(error, false)
    return true
  }

  /** Resets the properties of the network, and sends a probe of the stream. */
  #reset(): void {
    this.#fallback.learn({ isPadded: undefined, lacksPoll: false })
    if (this.#fallback.isPolling) this.#startRival('retry')
  }

  // --- The poll

  #onPage(page: Page, signal: AbortSignal): void {
    // A server that does not hold polls is polled again after a delay.
    const wait = page.events.length || Date.now() - this.#openedAt > 1500 ? 0 : 1000
    if (!this.#fallback.isPolling) this.#adoptRival()
    if (!this.#rival) this.#planProbe()
    if (!this.#isOpen) this.#opened()
    this.#openedAt = Date.now()
    deliverPage(page, this, signal)
    if (!signal.aborted) this.#start(page.retry || wait)
  }

  #onPollError(error: SseClientError | undefined): void {
    const { isFinal, status = 0 } = error ?? {}
    const isAlone = this.#main.signal.aborted
    // Until a page has arrived, any refusal may be one of the format.
    if (isFinal && (!this.#isOpen || status < 300 || status === 406)) {
      this.#stopRival()
      this.#fallback.learn({ isPolling: false, reason: undefined, lacksPoll: true })
      if (isAlone && this.#canSend) this.#start()
      else if (isAlone) this.#onLost(error)
    } else if (isAlone) this.#onLost(error)
    else this.#startRival(this.#rivalReason, this.#delayAfter(error))
  }

  /** Sends a probe of the stream later. */
  #planProbe(): void {
    this.#startRival('retry', probeDelay(this.#probes++))
  }
}
