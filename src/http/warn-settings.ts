import type { Server } from 'node:http'
import type { Http2Server, Http2ServerRequest, Settings as Http2Settings } from 'node:http2'
import { warnOnce } from '../warn.ts'
import type { NodeRequest } from './last-event-id.ts'
import type { Settings } from './options.ts'

/** A proxy that names itself in its requests, and its documented limits in ms. */
interface Proxy {
  readonly name: string
  readonly header: string
  readonly value?: RegExp
  /** How long a response may be silent. */
  readonly idle?: number
  /** How long the proxy keeps an idle connection for its next request. */
  readonly keepAlive?: number
}

// `docs/machine.md` lists the sources.
const PROXIES: readonly Proxy[] = [
  { name: 'Fastly', header: 'cdn-loop', value: /fastly/i, idle: 10_000 },
  { name: 'CloudFront', header: 'x-amz-cf-id', idle: 30_000 },
  { name: 'Apache Traffic Server', header: 'via', value: /ApacheTrafficServer/, idle: 30_000 },
  { name: 'Heroku', header: 'via', value: /heroku|vegur/, idle: 55_000, keepAlive: 90_000 },
  { name: 'Varnish', header: 'x-varnish', idle: 60_000 },
  { name: 'a load balancer of AWS', header: 'x-amzn-trace-id', idle: 60_000, keepAlive: 60_000 },
  { name: 'Cloudflare', header: 'cf-ray', idle: 100_000 },
  { name: 'a load balancer of Google Cloud', header: 'via', value: /\bgoogle\b/, keepAlive: 600_000 },
]

// RFC 9113 6.5.2 recommends at least this.
const FEW_STREAMS = 100

// The number of streams that are still checked, because the first request of a process may bypass its proxy.
let unchecked = 100
let hasCheckedHttp2 = false

/** Warns about settings of the server or of a proxy that would cut or refuse a stream. Never throws. */
export function warnOfSettings(request: NodeRequest | Request, settings: Settings): void {
  if (unchecked === 0) return
  unchecked -= 1
  try {
    const server = 'socket' in request ? serverOf(request) : undefined
    for (const proxy of PROXIES) if (isBehind(proxy, request)) checkProxy(proxy, settings, server)
    if ('stream' in request && server) checkHttp2(request, settings, server as Http2Server)
  } catch {
    // A request may be a test double, and a listener for warnings may throw.
  }
}

function serverOf({ socket }: NodeRequest): Server | Http2Server | undefined {
  return (socket as { readonly server?: Server | Http2Server } | undefined)?.server
}

function isBehind({ header, value }: Proxy, { headers }: NodeRequest | Request): boolean {
  const given =
    typeof headers.get === 'function' ? headers.get(header) : (headers as NodeRequest['headers'])[header]
  return given ? !value || value.test(String(given)) : false
}

function checkProxy({ name, idle, keepAlive }: Proxy, settings: Settings, server: object | undefined): void {
  const { option, silence } = silenceOf(settings)
  if (idle && silence >= idle)
    warnOnce(
      'SPILLWAY_HEARTBEAT',
      `${option}, but ${name} cuts a response that is silent for ${idle} ms by default.`,
    )
  const { keepAliveTimeout } = (server ?? {}) as Partial<Server>
  if (keepAlive && keepAliveTimeout && keepAliveTimeout < keepAlive)
    warnOnce(
      'SPILLWAY_KEEP_ALIVE_TIMEOUT',
      `server.keepAliveTimeout is ${keepAliveTimeout} ms, but ${name} reuses a connection that was idle for up to ` +
        `${keepAlive} ms by default. A request may get a 502, and an EventSource then fails permanently.`,
    )
}

/** Returns how long a response may be silent, in ms, and the option that controls it. */
function silenceOf({ poll, heartbeat }: Settings): { option: string; silence: number } {
  if (poll) return { option: `longPoll.hold is ${poll.hold} ms`, silence: poll.hold }
  if (heartbeat === 0) return { option: 'heartbeat is disabled', silence: Number.POSITIVE_INFINITY }
  return { option: `heartbeat is ${heartbeat} ms`, silence: heartbeat }
}

// Checks HTTP/2 only, because a stream on HTTP/1.1 disables the timeout of its socket.
function checkHttp2({ stream }: Http2ServerRequest, settings: Settings, server: Http2Server): void {
  const { timeout } = server as { readonly timeout?: number }
  const { option, silence } = silenceOf(settings)
  if (timeout && silence >= timeout && server.listenerCount('timeout') === 0)
    warnOnce(
      'SPILLWAY_SERVER_TIMEOUT',
      `${option}, but server.timeout cuts a connection of HTTP/2 that is silent for ${timeout} ms.`,
    )
  const { session } = stream
  if (!session || hasCheckedHttp2) return
  hasCheckedHttp2 = true
  // Settings apply once the client has acknowledged them.
  if (session.pendingSettingsAck) session.once('localSettings', checkLimit)
  else checkLimit(session.localSettings)
}

function checkLimit({ maxConcurrentStreams = FEW_STREAMS }: Http2Settings): void {
  if (maxConcurrentStreams >= FEW_STREAMS) return
  warnOnce(
    'SPILLWAY_MAX_CONCURRENT_STREAMS',
    `maxConcurrentStreams is ${maxConcurrentStreams}, but all tabs of a browser share one connection of HTTP/2.`,
  )
}
