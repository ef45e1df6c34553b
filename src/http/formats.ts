import type { FormatName } from '../formats/format.ts'
import { acceptsOnly, weightOf } from './accept.ts'
import type { Settings } from './options.ts'

/** The media types of each format. The first one is sent, and the others are accepted too. */
const MEDIA_TYPES: Readonly<Record<FormatName, readonly string[]>> = {
  'event-stream': ['text/event-stream'],
  ndjson: ['application/x-ndjson', 'application/ndjson', 'application/jsonl'],
  json: ['application/json'],
}

type Negotiation = Pick<Settings, 'formats' | 'negotiate'>

/**
 * Returns the format for a request, or undefined if it accepts none. `?format=` precedes `Accept`, because a cache
 * distinguishes requests by their URL. A route with one format serves it unless it is refused (rule 18).
 */
export function formatFor(
  { formats, negotiate }: Negotiation,
  accept: string | null | undefined,
  query: Query | undefined,
): FormatName | undefined {
  const named = query?.get('format')
  if (named) return formats.find((format) => format === named)
  if (formats.length > 1) return preferred(formats, accept, negotiate)
  const [only] = formats as [FormatName]
  return acceptsOnly(accept, MEDIA_TYPES[only], negotiate) ? only : undefined
}

/** Returns the query of a request if it may choose the format. */
export function formatQuery({ formats, negotiate }: Negotiation, url: string | undefined): Query | undefined {
  return formats.length > 1 || negotiate ? queryOf(url) : undefined
}

type Query = Pick<URLSearchParams, 'get'>

const NO_QUERY: Query = { get: () => null }

/** Returns the query of any URL. */
export function queryOf(url = ''): Query {
  // Without this, each new client would pay for an empty one.
  return url.includes('?') ? new URLSearchParams(/\?([^#]*)/.exec(url)?.[1]) : NO_QUERY
}

/** Returns the body of a 406. */
export function notAcceptableText({ formats }: Negotiation): string {
  const types = formats.map((format) => MEDIA_TYPES[format][0])
  if (types.length === 1 && types[0] === 'text/event-stream')
    return 'This resource is an event stream: accept text/event-stream.\n'
  return `This resource is available as ${types.join(', ')} (?format=${formats.join(', ')}).\n`
}

// Returns the preferred format. If a request prefers several formats equally, it is the first one of the route.
function preferred(
  formats: readonly FormatName[],
  accept: string | null | undefined,
  negotiate: boolean,
): FormatName | undefined {
  if (!accept && !negotiate) return formats[0]
  let [chosen, best]: [FormatName | undefined, number] = [undefined, 0]
  for (const format of formats) {
    const weight = weightOf(accept, MEDIA_TYPES[format], !negotiate) ?? 0
    if (weight > best) [chosen, best] = [format, weight]
  }
  return chosen
}
