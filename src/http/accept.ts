import Negotiator from 'negotiator'

// Some clients send a charset in `Accept`.
const OFFERED = ['text/event-stream', 'text/event-stream;charset=utf-8']

/** True if a client accepts event streams. Without `Accept`, it accepts anything (RFC 9110 12.5.1). */
export function acceptsEventStream(accept: string | undefined): boolean {
  if (!accept || accept === 'text/event-stream' || accept === '*/*') return true
  return new Negotiator({ headers: { accept } }).mediaTypes(OFFERED).length > 0
}
