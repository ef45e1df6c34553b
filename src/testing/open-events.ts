import type { RequestListener, Server } from 'node:http'
import { type Check, checkOptions, isBoolean, isString } from '../check-options.ts'
import { describe } from '../errors.ts'
import { EventsClient } from './events-client.ts'
import { ReceivedStream } from './received.ts'
import { openRequest, type RequestOptions, type RequestSettings, urlOf } from './targets/http-request.ts'
import { type InjectResponse, injectedResponse } from './targets/inject.ts'
import type { OpenResponse } from './targets/open-response.ts'
import { openOnServer } from './targets/server.ts'
import { type WebResponse, webResponse } from './targets/web-response.ts'
import { isTimeout, withTimeout } from './timeout.ts'
import { WaitError } from './wait-error.ts'

/** A target that `openEvents` sends a request to: a URL, a server, or a request listener such as an Express app. */
export type Target = string | URL | Server | RequestListener

/** A response to a request that was sent elsewhere: a web `Response`, the result of `inject()`, or a promise of one. */
export type ResponseSource = WebResponse | InjectResponse | PromiseLike<WebResponse | InjectResponse>

type Source = Target | ResponseSource

export interface OpenOptions {
  /** Longest time in ms that `openEvents` and each wait of the client take. Default 2 000. */
  timeout?: number | undefined
  /** True reads nothing until `resume()` is called. Default false. */
  paused?: boolean | undefined
  /** Initial last event id of the client. A request to a target carries it as `Last-Event-ID`. Default: none. */
  lastEventId?: string | undefined
  /**
   * True also collects the events with which a hub of Spillway reports only a position. They always update
   * `lastEventId`. Default false.
   */
  positions?: boolean | undefined
}

const isAnything: Check = () => undefined

const CHECKS: Record<keyof OpenOptions, Check> = {
  timeout: isTimeout,
  paused: isBoolean,
  lastEventId: isString,
  positions: isBoolean,
}

const REQUEST_CHECKS: Record<keyof RequestOptions, Check> = {
  path: isString,
  method: isString,
  headers: isAnything,
  body: isAnything,
}

const NO_SUPERTEST =
  'A supertest or superagent request cannot be opened. Use openEvents(app, { path, headers }) instead.'

const HINT_FOR_PROMISE =
  ' Call inject() with payloadAsStream: true, otherwise it resolves at the end of the stream.'

/**
 * Opens a test client of an event stream, of NDJSON or of a long poll. Resolves when the response headers have arrived,
 * whatever the status. Rejects with a `WaitError` if they do not arrive in time, and with the connection's error if the
 * request fails.
 *
 * Rejects with `SseError` `ERR_SSE_OPTION` for an invalid option, and with `TypeError` for an unsupported source.
 */
export async function openEvents(
  target: Target,
  options?: OpenOptions & RequestOptions,
): Promise<EventsClient>
export function openEvents(source: Source, options?: OpenOptions): Promise<EventsClient>
export async function openEvents(
  source: Source,
  options: OpenOptions & RequestOptions = {},
): Promise<EventsClient> {
  const checks = isTarget(source) ? { ...CHECKS, ...REQUEST_CHECKS } : CHECKS
  const { timeout = 2_000, paused = false, lastEventId = '', positions = false, ...request } = options
  checkOptions({ timeout, paused, lastEventId, positions, ...request }, checks)
  const response = await openInTime(timeout, source, (signal) =>
    responseOf(source, { ...request, lastEventId, signal }),
  )
  const type = response.headers.get('content-type') ?? undefined
  const client = new EventsClient(response, new ReceivedStream(lastEventId, positions, type), timeout)
  if (!paused) client.resume()
  return client
}

async function openInTime(
  timeout: number,
  source: Source,
  open: (signal: AbortSignal) => Promise<OpenResponse>,
): Promise<OpenResponse> {
  const controller = new AbortController()
  const response = open(controller.signal)
  const hint = has(source, 'then') ? HINT_FOR_PROMISE : ''
  const timeoutError = () => new WaitError(`No response headers within ${timeout} ms.${hint}`)
  try {
    return await withTimeout(timeout, response, timeoutError)
  } catch (error) {
    controller.abort()
    response.then(({ close }) => close()).catch(() => {})
    throw error
  }
}

async function responseOf(source: Source, options: RequestSettings): Promise<OpenResponse> {
  if (isServing(source)) return openOnServer(source, options)
  if (isTarget(source)) return openRequest(urlOf(source, options.path), options)
  // Check this before awaiting, because its `then` sends the request and waits for the end of the body.
  const isSupertest = has(source, 'buffer', 'parse', 'end', 'abort')
  if (isSupertest) throw new TypeError(NO_SUPERTEST)
  const response: unknown = await source
  if (isResponse(response)) return webResponse(response)
  if (isInjected(response)) return injectedResponse(response)
  throw new TypeError(
    `openEvents expects a URL, a server, an app, a Response or a response of inject(), not ${describe(response)}.`,
  )
}

function has(source: unknown, ...names: string[]): boolean {
  return typeof source === 'object' && source !== null && names.every((name) => name in source)
}

function isServing(source: unknown): source is Server | RequestListener {
  return typeof source === 'function' || has(source, 'listen', 'listening')
}

function isTarget(source: unknown): source is Target {
  return typeof source === 'string' || source instanceof URL || isServing(source)
}

function isResponse(source: unknown): source is WebResponse {
  return has(source, 'status', 'headers', 'body', 'clone')
}

function isInjected(source: unknown): source is InjectResponse {
  return has(source, 'statusCode', 'headers', 'stream', 'raw')
}
