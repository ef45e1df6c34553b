import type { Readable } from 'node:stream'
import { headersOf, type OpenResponse } from './open-response.ts'

/** What `inject` of Fastify and light-my-request resolves with. Give it `payloadAsStream: true`. */
export interface InjectResponse {
  readonly statusCode: number
  readonly headers: Readonly<Record<string, unknown>>
  readonly raw: { readonly res: { destroy(): unknown } }
  stream(): Readable
}

export function injectedResponse({ statusCode, headers, raw, stream }: InjectResponse): OpenResponse {
  // There is no connection. The server learns from its response that the client has left.
  return {
    status: statusCode,
    headers: headersOf(headers),
    body: stream(),
    close: async () => void raw.res.destroy(),
  }
}
