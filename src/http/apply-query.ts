import type { SseStream } from '../stream/stream.ts'
import { FirstPadding } from './first-padding.ts'
import type { NodeRequest } from './last-event-id.ts'
import type { Settings } from './options.ts'
import { reportTransport } from './transport-report.ts'

/**
 * Applies the parameters that `spillway/client` adds to a URL, except the format, to the stream of a Node.js request.
 */
export function applyQuery(
  stream: SseStream,
  settings: Settings,
  { url, socket, headers }: NodeRequest,
): void {
  if (settings.padding) new FirstPadding(stream, settings.padding)
  const header = (name: string) => headers[name]?.toString()
  // Read on demand, because Node.js requests the address from the kernel and keeps it with the socket.
  const address = () => socket?.remoteAddress
  reportTransport(stream, settings, { url, address, header })
}

/** Applies the same parameters to the stream of a web `Request`. */
export function applyWebQuery(stream: SseStream, settings: Settings, { url, headers }: Request): void {
  if (settings.padding) new FirstPadding(stream, settings.padding)
  reportTransport(stream, settings, { url, header: (name) => headers.get(name) ?? undefined })
}
