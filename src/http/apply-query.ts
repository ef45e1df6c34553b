import type { SseStream } from '../stream/stream.ts'
import { FirstPadding } from './first-padding.ts'
import type { NodeRequest } from './last-event-id.ts'
import type { Settings } from './options.ts'
import { reportTransport } from './transport-report.ts'

/** Applies what `spillway/client` adds to a URL beside the format, to the stream of a Node.js request. */
export function applyQuery(
  stream: SseStream,
  settings: Settings,
  { url, socket, headers }: NodeRequest,
): void {
  if (settings.padding) new FirstPadding(stream, settings.padding)
  const header = (name: string) => headers[name]?.toString()
  // Only when it is needed, because Node.js requests it from the kernel and keeps it with the socket.
  const address = () => socket?.remoteAddress
  reportTransport(stream, settings, { url, address, header })
}

/** The same for the stream of a web `Request`. */
export function applyWebQuery(stream: SseStream, settings: Settings, { url, headers }: Request): void {
  if (settings.padding) new FirstPadding(stream, settings.padding)
  reportTransport(stream, settings, { url, header: (name) => headers.get(name) ?? undefined })
}
