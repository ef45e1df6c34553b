// The media ranges that cover an event stream, from the least to the most specific.
const RANGES = ['*/*', 'text/*', 'text/event-stream']

/**
 * True if the client accepts an event stream. The most specific range that covers it decides, and a weight of 0 refuses
 * it (RFC 9110 12.5.1). Without an `Accept` header, any type is accepted.
 */
export function acceptsEventStream(accept: string | undefined): boolean {
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
