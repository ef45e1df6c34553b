// The media ranges that cover an event stream, from the least to the most specific.
const RANGES = ['*/*', 'text/*', 'text/event-stream']

/**
 * Whether the client accepts an event stream. The most specific range that covers it decides, and a weight of 0 refuses
 * it (RFC 9110 12.5.1). Without an `Accept` header, any type is accepted.
 */
export function acceptsEventStream(accept: string | undefined): boolean {
  if (!accept || accept === 'text/event-stream' || accept === '*/*') return true
  const weights: number[] = []
  // This splits quoted parameters too. A range with such a parameter cannot match, because only `charset` and `q` can.
  for (const range of accept.toLowerCase().split(',')) {
    const [specificity, weight] = parseRange(range)
    if (specificity >= 0) weights[specificity] = Math.max(weight, weights[specificity] ?? 0)
  }
  return (weights.findLast((weight) => weight !== undefined) ?? 0) > 0
}

/** Returns the specificity of a media range, -1 if it does not cover an event stream, and its weight. */
function parseRange(range: string): [specificity: number, weight: number] {
  const [type = '', ...parameters] = range.split(';').map((part) => part.trim())
  const index = RANGES.indexOf(type)
  let hasCharset = false
  let weight = 1
  for (const parameter of parameters) {
    const q = /^q\s*=(.*)/.exec(parameter)?.[1]
    if (q !== undefined) weight = Number.parseFloat(q || '1')
    else if (/^charset\s*=\s*"?utf-8"?$/.test(parameter)) hasCharset = true
    else if (parameter) return [-1, 0]
  }
  return [index < 0 ? -1 : index * 2 + Number(hasCharset), weight]
}
