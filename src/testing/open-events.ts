import type { RequestListener, Server } from 'node:http'
import { type Check, checkOptions, isBoolean, isString } from '../check-options.ts'
import { describe } from '../errors.ts'
import { EventsClient } from './events-client.ts'
import { openRequest, type RequestOptions, type RequestSettings, urlOf } from './targets/http-request.ts'
import { type InjectResponse, injectedResponse } from './targets/inject.ts'
import type { OpenResponse } from './targets/open-response.ts'
import { openOnServer, whileServing } from './targets/server.ts'
import { type SuperagentRequest, superagentAnswer } from './targets/superagent.ts'
import { type WebResponse, webResponse } from './targets/web-response.ts'
import { isTimeout, withTimeout } from './timeout.ts'
import { WaitError } from './wait-error.ts'

/** What is asked: a URL, a server, or what answers the requests of one, such as an app of Express. */
export type Target = string | URL | Server | RequestListener

/** What was asked already, or will be in its own way: see `docs/testing.md`. */
export type ResponseSource =
  | WebResponse
  | InjectResponse
  | PromiseLike<WebResponse | InjectResponse>
  | SuperagentRequest

type Source = Target | ResponseSource

export interface OpenOptions {
  /** How long each wait of the client is at most, in ms, and that for the head. Default 2 000. */
  timeout?: number | undefined
  /** The client reads nothing until `resume()`. */
  paused?: boolean | undefined
  /** The client's last event id until it gets another. Of a target it is asked for what came after it. */
  lastEventId?: string | undefined
}

const isAnything: Check = () => undefined

const CHECKS: Record<keyof OpenOptions, Check> = {
  timeout: isTimeout,
  paused: isBoolean,
  lastEventId: isString,
}

const REQUEST_CHECKS: Record<keyof RequestOptions, Check> = {
  path: isString,
  method: isString,
  headers: isAnything,
  body: isAnything,
}

/**
 * Opens a client of an event stream. Resolves when the head is there, whatever its status. Rejects with a `WaitError`
 * when it does not come in time, and with the error of a connection that fails before.
 *
 * Throws `SseError` `ERR_SSE_OPTION`, and `TypeError` for what is no source of events.
 */
export async function openEvents(
  target: Target,
  options?: OpenOptions & RequestOptions,
): Promise<EventsClient>
export function openEvents(source: Source, options?: OpenOptions): Promise<EventsClient>
export async function openEvents(
  source: Source,
  { timeout = 2_000, paused = false, lastEventId = '', ...request }: OpenOptions & RequestOptions = {},
): Promise<EventsClient> {
  const checks = isTarget(source) ? { ...CHECKS, ...REQUEST_CHECKS } : CHECKS
  checkOptions({ timeout, paused, lastEventId, ...request }, checks)
  const answer = await openInTime(timeout, source, (signal) =>
    responseOf(source, { ...request, lastEventId, signal }),
  )
  const client = new EventsClient(answer, lastEventId, timeout)
  if (!paused) client.resume()
  return client
}

async function openInTime(
  timeout: number,
  source: Source,
  ask: (signal: AbortSignal) => Promise<OpenResponse>,
): Promise<OpenResponse> {
  const controller = new AbortController()
  const answer = ask(controller.signal)
  try {
    return await withTimeout(
      timeout,
      answer,
      () => new WaitError(`No head within ${timeout} ms.${hintFor(source)}`),
    )
  } catch (error) {
    controller.abort()
    answer.then(({ close: leave }) => leave()).catch(() => {})
    throw error
  }
}

async function responseOf(source: Source, options: RequestSettings): Promise<OpenResponse> {
  if (isServing(source)) return openOnServer(source, options)
  if (isTarget(source)) return openRequest(urlOf(source, options.path), options)
  // Before it is awaited: that would send it, and wait for the end of the body.
  if (isSuperagent(source)) return askBySuperagent(source, options.signal)
  const answered: unknown = await source
  if (isResponse(answered)) return webResponse(answered)
  if (isInjected(answered)) return injectedResponse(answered)
  throw new TypeError(`No source of events: ${describe(answered)}.`)
}

// Supertest too would start the server of its app, and close it only when all others have left.
function askBySuperagent(request: SuperagentRequest, signal: AbortSignal): Promise<OpenResponse> {
  const ask = () => superagentAnswer(request, signal)
  return isServer(request.app) ? whileServing(request.app, ask) : ask()
}

function has(source: unknown, ...names: string[]): boolean {
  return typeof source === 'object' && source !== null && names.every((name) => name in source)
}

function isServing(source: unknown): source is Server | RequestListener {
  return typeof source === 'function' || isServer(source)
}

function isServer(source: unknown): source is Server {
  return has(source, 'listen', 'listening')
}

function isTarget(source: unknown): source is Target {
  return typeof source === 'string' || source instanceof URL || isServing(source)
}

function isSuperagent(source: unknown): source is SuperagentRequest {
  return has(source, 'buffer', 'parse', 'end', 'abort')
}

function isResponse(source: unknown): source is WebResponse {
  return has(source, 'status', 'headers', 'body', 'clone')
}

function isInjected(source: unknown): source is InjectResponse {
  return has(source, 'statusCode', 'headers', 'stream', 'raw')
}

function hintFor(source: Source): string {
  const isAwaited = has(source, 'then') && !isSuperagent(source)
  return isAwaited ? ' Give `inject` the option payloadAsStream, or it waits for the end.' : ''
}
