import type { FindingCode } from '../../src/cli/doctor/catalog.ts'
import type { ExamineOptions } from '../../src/cli/doctor/options.ts'
import * as bodies from './misbehaving/bodies.ts'
import * as deliveries from './misbehaving/deliveries.ts'
import { ConnectionOverHttp2 } from './misbehaving/raw-http2.ts'
import * as responses from './misbehaving/responses.ts'
import { StreamServer } from './misbehaving/stream-server.ts'

/** A server with one fault, and how to examine it. */
export interface Misbehaving {
  readonly code: FindingCode
  /** Distinguishes the server from other servers with this code. May be empty. */
  readonly name: string
  readonly Server: new () => StreamServer
  readonly options?: ExamineOptions
}

const CROSS = { origin: 'https://app.example' }
const { responding, withCors, withHeaders } = responses
// In ms. Enough to compare many events of several connections.
const SILENCE = { timeout: 17_500 }
const LONGER = { timeout: 12_000 }
const HTML = { 'content-type': 'text/html' }

/** Servers of which each has exactly one fault, which is a problem or a warning. */
export const MISBEHAVING_SERVERS: readonly Misbehaving[] = [
  { code: 'status', name: '', Server: responding(500) },
  { code: 'redirect', name: '', Server: responding(307, { location: '/v2/events' }) },
  { code: 'login-page', name: 'a redirect', Server: responding(302, { location: '/login' }) },
  { code: 'login-page', name: 'a form', Server: responding(200, HTML, '<input type="password">') },
  { code: 'content-type', name: '', Server: withHeaders({ 'content-type': 'text/plain' }) },
  {
    code: 'charset',
    name: '',
    Server: withHeaders({ 'content-type': 'text/event-stream; charset=iso-8859-1' }),
  },
  { code: 'content-length', name: '', Server: withHeaders({ 'content-length': '1000000' }) },
  { code: 'connection-header', name: '', Server: responses.NotChunked },
  {
    code: 'cacheable',
    name: '',
    Server: withHeaders({ 'cache-control': 'public, max-age=60, no-transform' }),
  },
  { code: 'transformable', name: '', Server: withHeaders({ 'cache-control': 'no-cache' }) },
  { code: 'proxy-buffering-allowed', name: '', Server: withHeaders({ 'x-accel-buffering': undefined }) },
  { code: 'aged', name: '', Server: withHeaders({ age: '30' }) },
  { code: 'cached', name: 'a hint of the cache', Server: responses.CachedForSecond },
  { code: 'cached', name: 'the same date', Server: responses.CachedWithoutHint, options: LONGER },
  { code: 'vary', name: '', Server: responses.CacheablePageByAccept },
  { code: 'accept-required', name: '', Server: responses.AcceptRequired },
  { code: 'llm-accept', name: '', Server: responses.LlmAcceptRefused, options: { data: '{"stream":true}' } },
  {
    code: 'cors-origin',
    name: '',
    Server: withCors({ 'access-control-allow-origin': undefined }),
    options: CROSS,
  },
  {
    code: 'cors-credentials',
    name: '',
    Server: withCors({ 'access-control-allow-credentials': undefined }),
    options: { ...CROSS, cookie: 'session=1' },
  },
  { code: 'cors-preflight', name: '', Server: responses.PreflightNotFound, options: CROSS },
  { code: 'nul-in-id', name: '', Server: bodies.NulInId },
  { code: 'bad-retry', name: '', Server: bodies.withBeginning(':\nretry: 2s\n') },
  { code: 'unknown-field', name: '', Server: bodies.UnknownField },
  { code: 'unknown-field', name: 'no event', Server: bodies.NoFields },
  { code: 'bom', name: '', Server: bodies.withBeginning('\uFEFF:\nretry: 2000\n') },
  { code: 'carriage-return', name: '', Server: bodies.CarriageReturns },
  { code: 'unfinished-block', name: '', Server: bodies.SingleLineFeeds },
  { code: 'invalid-utf-8', name: '', Server: bodies.Latin1 },
  { code: 'http2-failed', name: 'a reset', Server: responses.Http2Resets },
  { code: 'http2-failed', name: 'the header Connection', Server: ConnectionOverHttp2 },
  { code: 'long-poll-length', name: '', Server: responses.PollNotChunked },
  { code: 'long-poll-cursor', name: '', Server: responses.PollWithoutCursor },
  { code: 'ndjson-type', name: '', Server: responses.NdjsonAsJson },
  { code: 'ndjson-lines', name: '', Server: responses.NdjsonWithFields },
  { code: 'no-response-headers', name: '', Server: deliveries.Silent },
  {
    code: 'no-response-headers',
    name: 'over HTTP/2',
    Server: responses.Http2Silent,
    options: LONGER,
  },
  { code: 'slow-headers', name: '', Server: deliveries.SlowHeaders, options: LONGER },
  { code: 'headers-held', name: '', Server: deliveries.HeldHeaders, options: LONGER },
  { code: 'no-body', name: '', Server: deliveries.NoBody },
  { code: 'slow-first-byte', name: '', Server: deliveries.SlowFirstByte, options: LONGER },
  { code: 'compressed-held', name: '', Server: deliveries.CompressedAndHeld },
  { code: 'buffered', name: '', Server: deliveries.Buffered, options: LONGER },
  { code: 'delayed', name: '', Server: deliveries.Delayed, options: LONGER },
  { code: 'resume-failed', name: '', Server: deliveries.ResumeFails },
  { code: 'resume-ignored', name: '', Server: deliveries.ResumeIgnored, options: LONGER },
  { code: 'resume-skips', name: '', Server: deliveries.ResumeSkips, options: LONGER },
  { code: 'resume-repeats', name: '', Server: deliveries.ResumeRepeats, options: LONGER },
  { code: 'unknown-id-ignored', name: '', Server: deliveries.UnknownIdIgnored, options: LONGER },
  { code: 'cut', name: '', Server: deliveries.Cut },
  { code: 'ends', name: '', Server: deliveries.Ends },
]

/** Servers with a fault that is only worth a note, and the server without a fault. */
export const HEALTHY_SERVERS: ReadonlyArray<Omit<Misbehaving, 'code'> & { code?: FindingCode }> = [
  { name: 'without a fault', Server: StreamServer, options: { ...CROSS, cookie: 'session=1' } },
  {
    name: 'without a fault, over HTTP/2',
    Server: class extends StreamServer {
      override readonly isSecure = true
    },
  },
  { name: 'over HTTP/1.1 only', code: 'browser-connections', Server: StreamServer },
  { name: 'that sends 204', code: 'status', Server: responding(204) },
  { name: 'that limits requests', code: 'limited', Server: responses.Limited, options: CROSS },
  { name: 'that does not respond to HEAD', code: 'head-hangs', Server: responses.HeadHangs },
  { name: 'that responds to HEAD with 404', code: 'head-status', Server: responses.HeadNotFound },
  { name: 'that compresses at once', code: 'compressed', Server: deliveries.Compressed },
  { name: 'that is silent for 17 s', code: 'no-heartbeat', Server: deliveries.NoHeartbeat, options: SILENCE },
  { name: 'that sends no ids', code: 'no-ids', Server: deliveries.NoIds },
  { name: 'that sends no first id', code: 'no-first-position', Server: deliveries.NoFirstPosition },
  { name: 'that publishes nothing', code: 'too-few-events', Server: deliveries.NoEvents },
  {
    name: 'that refuses SDKs with GET',
    code: 'llm-accept',
    Server: responses.LlmAcceptRefused,
  },
]
