import type { Readable } from 'node:stream'
import { headersOf, type OpenResponse } from './open-response.ts'

/** The response of `inject()` of Fastify or light-my-request, called with `payloadAsStream: true`. */
export interface InjectResponse {
  readonly statusCode: number
  readonly headers: Readonly<Record<string, unknown>>
  readonly raw: { readonly res: { destroy(): unknown } }
  stream(): Readable
}

export function injectedResponse({ statusCode, headers, raw, stream }: InjectResponse): OpenResponse {
  return {
    status: statusCode,
    headers: headersOf(headers),
    body: stream(),
    // There is no connection, so destroy the server's response to report the disconnect.
    close: async () => void raw.res.destroy(),
  }
}
