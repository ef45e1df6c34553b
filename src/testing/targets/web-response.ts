import { Readable } from 'node:stream'
import type { OpenResponse } from './open-response.ts'

/** A web `Response`, of whichever implementation: the types of undici's are not those of the DOM. */
export interface WebResponse {
  readonly status: number
  readonly headers: { get(name: string): string | null }
  readonly body: unknown
  clone(): unknown
}

export function webResponse({ status, headers, body }: WebResponse): OpenResponse {
  // It reads nothing ahead: a client that is paused takes nothing.
  const readable = body ? Readable.fromWeb(body as never, { highWaterMark: 0 }) : Readable.from([])
  return { status, headers: headers as Headers, body: readable, close: async () => void readable.destroy() }
}
