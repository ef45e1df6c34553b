import type { Readable } from 'node:stream'
import { type Answer, headersOf } from './open-response.ts'

/** What `inject` of Fastify and light-my-request resolves with. Give it `payloadAsStream: true`. */
export interface InjectResponse {
  readonly statusCode: number
  readonly headers: Readonly<Record<string, unknown>>
  readonly raw: { readonly res: { destroy(): unknown } }
  stream(): Readable
}

export function injectAnswer({ statusCode, headers, raw, stream }: InjectResponse): Answer {
  // There is no connection. The server learns from its response that the client has left.
  return {
    status: statusCode,
    headers: headersOf(headers),
    body: stream(),
    leave: async () => void raw.res.destroy(),
  }
}
