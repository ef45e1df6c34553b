import type { Exchange } from '../exchange.ts'
import { bytesOf } from './body.ts'
import { mediaTypeOf } from './headers.ts'

const NDJSON_TYPES = ['application/x-ndjson', 'application/ndjson', 'application/jsonl']

/** True if a response has lines of JSON by its type. */
export function isNdjson(exchange: Exchange): boolean {
  return NDJSON_TYPES.includes(mediaTypeOf(exchange))
}

/** True for a page as Spillway sends it. Other JSON at the same URL is not a long poll. */
export function isLongPoll(exchange: Exchange | undefined): exchange is Exchange {
  if (exchange?.status !== 200 || mediaTypeOf(exchange) !== 'application/json') return false
  return Array.isArray(pageOf(exchange)?.events)
}

/** Returns the value of a body that is JSON. */
export function pageOf(exchange: Exchange): { events?: unknown; lastEventId?: unknown } | undefined {
  const value = parsed(bytesOf(exchange).toString())
  return typeof value === 'object' && value !== null ? value : undefined
}

/** Returns undefined if the text is not JSON. */
export function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
