import { backoff, probeDelay, setDeadline } from './backoff.ts'
import { clientError, type SseClientError } from './client-error.ts'
import type { Engine, EngineListener, ReceivedEvent, TransportName } from './engine.ts'
import { Fallback, type TransportReason } from './fallback.ts'
import { deliverPage, type Page, readPage } from './long-poll.ts'
import { onPageEvent } from './page-events.ts'
import { readStream, type StreamOwner } from './read-stream.ts'
import { absolute, type Body, bodyOf, type FetchOptions, type RequestUrl, resolveValue } from './request.ts'

/**
 * The connection of a page to a server. The main request is of the transport in use: a stream, or one of a chain of long
 * polls. A rival is of the other transport: a poll beside a stream that seems held, or a probe of the stream beside polls.
 * A rival that responds in time becomes the main request, and delivers from the last event that was delivered.
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
  // Why the transport was chosen, for the next request to report.
  #report: TransportReason | undefined
  #isSent = false
  // Whether the transport in use has responded, and has not failed since.
  #isOpen = false
  // When the stream was opened, or the last page arrived.
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
      // What waits or hangs was planned or sent on another network. In Chromium, a body that received bytes while its page was
      // frozen is not read any more.
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
    // Reading stops while so many events wait for a loop.
    if (count > 63) this.paused ??= new Promise((resolve) => (this.#resume = resolve))
    else {
      this.#resume()
      this.paused = undefined
    }
  }

  // --- Requests

  /** Whether a request may be sent, because it is the first one, or resumes, or may be repeated. */
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

  /** Sends a request after a time in ms. Not after a call of the listener, which may close the connection. */
  #request(delay: number): AbortController {
    const request = new AbortController()
    const onEnd = (error: unknown) => this.#onEnd(request, error as SseClientError)
    this.#exchange(request, delay).then(onEnd, onEnd)
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
    this.#fallback.open(url.origin + url.pathname)
    const isRival = request === this.#rival
    if (isRival !== this.#fallback.isPolling) await this.#poll(request, url, headers, isRival)
    else await this.#stream(signal, url, headers)
  }

  async #stream(signal: AbortSignal, url: URL, headers: Headers): Promise<void> {
    const start = this.lastEventId
    if (this.#fallback.isPadded) url.searchParams.set('padded', '1')
    // [spec] The id is sent as UTF-8, but `fetch` accepts only characters up to U+00FF, one for each byte.
    if (start) headers.set('last-event-id', String.fromCharCode(...new TextEncoder().encode(start)))
    const clear = setDeadline(1500, () => this.onSuspicion('no-headers'), signal)
    const body = await this.#send(signal, url, headers, 'text/event-stream', 'no-store')
    clear()
    const clearNext = setDeadline(500, () => this.onSuspicion('no-first-byte'), signal)
    await readStream(body, this, start, signal, clearNext)
  }

  async #poll(request: AbortController, url: URL, headers: Headers, isRace: boolean): Promise<void> {
    const { signal } = request
    const id = this.lastEventId
    url.searchParams.set('format', 'json')
    if (id) url.searchParams.set('lastEventId', id)
    // A race does not wait long for events, so that the transport is chosen within 2 s on a quiet channel.
    if (isRace) url.searchParams.set('hold', '300')
    setDeadline(60_000, () => this.#onEnd(request, clientError('ERR_SSE_SILENT', 'No data')), signal)
    const page = await readPage(await this.#send(signal, url, headers, 'application/json'))
    signal.throwIfAborted()
    this.#onPage(page, signal)
  }

  /** Sends a request. Returns the body of a response of a type. */
  async #send(
    signal: AbortSignal,
    url: URL,
    headers: Headers,
    type: string,
    cache?: 'no-store',
  ): Promise<Body> {
    const send = this.#options.fetch ?? fetch
    if (this.#report) {
      url.searchParams.set('transport', this.#transport)
      url.searchParams.set('reason', this.#report)
      this.#report = undefined
    }
    headers.set('accept', type)
    this.#isSent = true
    const response = await send(url, { ...this.#options, headers, signal, cache } as RequestInit)
    signal.throwIfAborted()
    if (response.status === 204) {
      this.close()
      this.#listener.onError(undefined, true)
    }
    // Throws for 204, which is ignored because the request is aborted.
    return bodyOf(response, type)
  }

  /** Ends a request that has failed, or whose response has ended. */
  #onEnd(request: AbortController, error: SseClientError): void {
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
    if (this.#isOpen) this.#cuts = error && Date.now() - this.#openedAt < 5000 ? this.#cuts + 1 : 0
    if (this.#cuts < 3 || !this.#suspect('cuts', error)) this.#lose(error)
  }

  /** Reports a loss of the main request, and sends another one after a time in ms if that is allowed. */
  #lose(error: SseClientError | undefined, delay = this.#delayAfter(error)): void {
    const isFinal = error?.isFinal || !this.#canSend
    this.#isOpen = false
    if (isFinal) this.close()
    else this.#start(delay)
    this.#listener.onError(error, isFinal)
  }

  #delayAfter(error: SseClientError | undefined): number {
    return error ? (error.retryAfter ?? 0) + backoff(this.#retry, this.#failures++) : this.#retry
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
    else if (!this.#rival) this.#suspect(reason)
  }

  onFirstByte(start: string): void {
    if (this.#fallback.isPolling) this.#adoptRival()
    else this.#stopRival()
    // Polls have delivered events since the probe began, so it would repeat them.
    if (start !== this.lastEventId) this.#start()
    else this.#opened()
  }

  onEvent(event: ReceivedEvent): void {
    if (event.event === 'gap') this.#tryAgain()
    if (event.event !== 'position' || event.data !== '{}') this.#listener.onEvent(event)
  }

  onRetry(ms: unknown): void {
    this.#retry = Number(ms ?? this.#retry) || 0
  }

  onRead(): void {
    this.#listener.onAlive()
    if (this.#fallback.isNewEpoch(this.lastEventId)) this.#tryAgain()
  }

  onSilent(isMute: boolean): void {
    const error = clientError('ERR_SSE_SILENT', 'No data')
    if (isMute && this.#suspect('silent', error)) return
    this.#setReason('silent')
    this.#lose(error, 0)
  }

  #setReason(reason: TransportReason | undefined): void {
    this.#report = this.#fallback.reason = reason
  }

  /** Asks for padded heartbeats where they may help, or polls. Returns whether it did. Reports the error that led to it. */
  #suspect(reason: TransportReason, error?: SseClientError): boolean {
    const { isPadded, lacksPoll } = this.#fallback
    if (lacksPoll || !this.#canSend) return false
    if (isPadded === undefined && reason !== 'no-headers' && reason !== 'cuts') {
      this.#setReason(reason)
      this.#fallback.learn({ isPadded: true })
      this.#start()
    } else {
      // A stream that has not responded may still win.
      if (this.#isOpen) this.#main.abort()
      this.#isOpen = false
      this.#cuts = 0
      this.#startRival(reason)
    }
    if (error) this.#listener.onError(error, false)
    return true
  }

  /** Forgets what did not work, and sends a probe of the stream. */
  #tryAgain(): void {
    this.#fallback.learn({ lacksPoll: false, isPadded: undefined })
    if (this.#fallback.isPolling) this.#startRival('retry')
  }

  // --- The poll

  #onPage(page: Page, signal: AbortSignal): void {
    // A server that does not hold a poll is not asked again at once.
    const wait = page.events.length || Date.now() - this.#openedAt > 1500 ? 0 : 1000
    if (!this.#fallback.isPolling) this.#adoptRival()
    if (!this.#rival) this.#planProbe()
    if (!this.#isOpen) this.#opened()
    this.#openedAt = Date.now()
    deliverPage(page, this, signal)
    if (!signal.aborted) this.#start(page.retry || wait)
  }

  #onPollError(error: SseClientError): void {
    const { isFinal, status = 0 } = error
    const isAlone = this.#main.signal.aborted
    // Until a page has arrived, any refusal may be one of the format.
    if (isFinal && (!this.#isOpen || status < 300 || status === 406)) {
      this.#stopRival()
      this.#fallback.learn({ isPolling: false, reason: undefined, lacksPoll: true })
      if (isAlone) this.#start()
    } else if (isAlone) this.#lose(error)
    else this.#startRival(this.#rivalReason, this.#delayAfter(error))
  }

  /** Sends a probe of the stream later. */
  #planProbe(): void {
    this.#startRival('retry', probeDelay(this.#probes++))
  }
}
