// The media ranges that cover an event stream, from the least to the most specific.
const RANGES = ['*/*', 'text/*', 'text/event-stream']

// `text/event-stream` with its parameters.
const NAMED = /(?:^|,)\s*text\/event-stream\s*(?=[;,]|$)[^,]*/gi

// RFC 9110 12.4.2: the weight of a type that is not acceptable.
const REFUSED = /;\s*q\s*=\s*0(\.0*)?\s*(;|$)/i

/**
 * True if a stream is the response to a request with this `Accept` header. With `negotiate`, the header must name
 * `text/event-stream`. A wildcard does not suffice, because `fetch`, axios and the navigation of a browser send one.
 */
export function acceptsEventStream(accept: string | undefined, negotiate: boolean): boolean {
  return negotiate ? namesEventStream(accept) : allowsEventStream(accept)
}

function namesEventStream(accept = ''): boolean {
  return accept.match(NAMED)?.some((range) => !REFUSED.test(range)) ?? false
}

/**
 * True if the client accepts an event stream. The most specific range that covers it decides, and a weight of 0 refuses
 * it (RFC 9110 12.5.1). Without an `Accept` header, any type is accepted.
 */
function allowsEventStream(accept: string | undefined): boolean {
  if (!accept || accept === 'text/event-stream' || accept === '*/*') return true
  const weights: number[] = []
  for (const range of accept.toLowerCase().split(',')) {
    const [type = ''] = range.split(';')
    const specificity = RANGES.indexOf(type.trim())
    // Other parameters, such as `charset`, are ignored.
    const [, q = '1'] = /;\s*q\s*=\s*([^;\s]+)/.exec(range) ?? []
    if (specificity >= 0) weights[specificity] = Math.max(Number.parseFloat(q), weights[specificity] ?? 0)
  }
  return (weights.at(-1) ?? 0) > 0
}
