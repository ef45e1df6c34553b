import { transportChannel } from '../stream/diagnostics.ts'
import type { SseStream } from '../stream/stream.ts'
import { queryOf } from './formats.ts'
import type { Settings } from './options.ts'

/** Why `spillway/client` changes its transport. Other reasons are ignored, because the URL is untrusted. */
const REASONS = ['no-first-byte', 'no-headers', 'bursts', 'cuts', 'silent', 'retry', 'online']

/** The headers with which proxies name themselves and the client. */
const PROXY_HEADERS = ['via', 'forwarded', 'x-forwarded-for', 'x-real-ip', 'cf-ray', 'x-amz-cf-id']

/** The request of a client that may have changed its transport. */
export interface ReportingRequest {
  readonly url: string | undefined
  /** Address of the connection, which is that of the last proxy. */
  address?(): string | undefined
  header(name: string): string | undefined
}

/** Publishes the change of transport that a request of a client reports, to the diagnostics. */
export function reportTransport(stream: SseStream, settings: Settings, request: ReportingRequest): void {
  if (!transportChannel.hasSubscribers || !settings.isChosen) return
  const reason = queryOf(request.url).get('reason') ?? ''
  if (!REASONS.includes(reason)) return
  const present = PROXY_HEADERS.map((name) => [name, request.header(name)] as const)
  transportChannel.publish({
    stream,
    transport: stream.format,
    reason,
    address: request.address?.(),
    userAgent: request.header('user-agent'),
    proxies: Object.fromEntries(present.filter(([, value]) => value !== undefined)),
  })
}
