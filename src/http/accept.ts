// RFC 9110 12.4.2. Another weight is invalid and ignored.
const WEIGHT = /^\s*q\s*=\s*([01](?:\.\d*)?)\s*$/i

/** A range names a type, a group of types such as `text/*`, or every type. */
const EXACT = 2
const GROUP = 1

/**
 * Returns how much a request with this `Accept` header prefers a media type, which may have several names. Compares the
 * weight, and then how specific the range is. 0: the type is refused. Undefined: no range covers it.
 */
export function weightOf(
  accept: string | null | undefined,
  names: readonly string[],
  usesWildcards: boolean,
): number | undefined {
  let [best, bestRank]: [number | undefined, number] = [undefined, usesWildcards ? 0 : EXACT]
  for (const range of accept?.split(',') ?? []) {
    const [type = '', ...parameters] = range.split(';')
    const rank = rankOf(type.trim().toLowerCase(), names)
    if (rank === undefined || rank < bestRank) continue
    // If two ranges have the same name, the larger weight counts.
    const weight = weightIn(parameters)
    best = rank > bestRank ? weight : Math.max(best ?? 0, weight)
    bestRank = rank
  }
  return best && best + bestRank / 10_000
}

/**
 * True if a stream is the response to a request with this `Accept` header. If the header names `text/event-stream`, its
 * weight must not be 0. Otherwise the stream is sent unless `negotiate` is set. Wildcards are ignored, because `fetch`,
 * axios and the navigation of a browser send them.
 */
export function acceptsOnly(
  accept: string | null | undefined,
  names: readonly string[],
  negotiate: boolean,
): boolean {
  // An `EventSource` sends exactly this header.
  return accept === names[0] || (weightOf(accept, names, false) ?? (negotiate ? 0 : 1)) > 0
}

function rankOf(range: string, names: readonly string[]): number | undefined {
  if (names.includes(range)) return EXACT
  if (range === '*/*') return 0
  return range.endsWith('/*') && names.some((name) => name.startsWith(range.slice(0, -1))) ? GROUP : undefined
}

function weightIn(parameters: readonly string[]): number {
  for (const parameter of parameters) {
    const weight = WEIGHT.exec(parameter)?.[1]
    if (weight !== undefined) return Math.min(1, Number(weight))
  }
  return 1
}
