import Negotiator from 'negotiator'

// Some clients name the charset in what they accept.
const OFFERED = ['text/event-stream', 'text/event-stream;charset=utf-8']

/** Whether the client takes an event stream. No `Accept` is any (RFC 9110 12.5.1). */
export function acceptsEventStream(accept: string | undefined): boolean {
  if (!accept || accept === 'text/event-stream' || accept === '*/*') return true
  return new Negotiator({ headers: { accept } }).mediaTypes(OFFERED).length > 0
}
