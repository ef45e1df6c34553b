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
 * Returns the format that a request gets, or undefined if it accepts none. `?format=` decides before `Accept`, because a
 * cache distinguishes requests by their URL. A route with one format serves it unless it is refused (rule 18).
 */
export function formatFor(
  { formats, negotiate }: Negotiation,
  accept: string | null | undefined,
  query: URLSearchParams | undefined,
): FormatName | undefined {
  const named = query?.get('format')
  if (named) return formats.find((format) => format === named)
  if (formats.length > 1) return preferred(formats, accept, negotiate)
  const [only] = formats as [FormatName]
  return acceptsOnly(accept, MEDIA_TYPES[only], negotiate) ? only : undefined
}

/** Returns the query of a request if it may choose the format. */
export function formatQuery(
  { formats, negotiate }: Negotiation,
  url: string | undefined,
): URLSearchParams | undefined {
  return formats.length > 1 || negotiate ? queryOf(url) : undefined
}

/** Returns the query of a URL, whatever it is. */
export function queryOf(url = ''): URLSearchParams {
  return new URLSearchParams(/\?([^#]*)/.exec(url)?.[1])
}

/** Returns the body of a 406. */
export function notAcceptableText({ formats }: Negotiation): string {
  const types = formats.map((format) => MEDIA_TYPES[format][0])
  if (types.length === 1 && types[0] === 'text/event-stream')
    return 'This resource is an event stream: accept text/event-stream.\n'
  return `This resource is available as ${types.join(', ')} (?format=${formats.join(', ')}).\n`
}

// Of formats that a request prefers equally, the first one of the route.
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
