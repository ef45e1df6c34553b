const EVENT_STREAM = 'text/event-stream'

// The media ranges that cover an event stream, from the least to the most specific.
const RANGES = ['*/*', 'text/*', EVENT_STREAM]

/**
 * True if a stream is the response to a request with this `Accept` header. The most specific range that covers an event
 * stream decides, and a weight of 0 refuses it (RFC 9110 12.5.1). Without an `Accept` header, any type is accepted.
 *
 * With `negotiate`, the header must name `text/event-stream`. A wildcard does not suffice, because `fetch`, axios and the
 * navigation of a browser send one.
 */
export function acceptsEventStream(accept: string | undefined, negotiate: boolean): boolean {
  if (accept === EVENT_STREAM) return true
  if (!negotiate && (!accept || accept === '*/*')) return true
  const weights: number[] = []
  for (const range of accept?.toLowerCase().split(',') ?? []) {
    const [type = ''] = range.split(';')
    const specificity = RANGES.indexOf(type.trim())
    // Other parameters, such as `charset`, are ignored.
    const [, q = '1'] = /;\s*q\s*=\s*([^;\s]+)/.exec(range) ?? []
    if (specificity >= 0) weights[specificity] = Math.max(Number.parseFloat(q), weights[specificity] ?? 0)
  }
  return ((negotiate ? weights[2] : weights.at(-1)) ?? 0) > 0
}
