import { Readable } from 'node:stream'
import type { OpenResponse } from './open-response.ts'

/** A web `Response`. A structural type, because the types of undici differ from those of the DOM. */
export interface WebResponse {
  readonly status: number
  readonly headers: { get(name: string): string | null }
  readonly body: unknown
  clone(): unknown
}

export function webResponse({ status, headers, body }: WebResponse): OpenResponse {
  // Nothing is read ahead, so that a paused client holds back the server.
  const readable = body ? Readable.fromWeb(body as never, { highWaterMark: 0 }) : Readable.from([])
  return { status, headers: headers as Headers, body: readable, close: async () => void readable.destroy() }
}
