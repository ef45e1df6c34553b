import type { Readable } from 'node:stream'

/** What a server has answered: a head, and a body that nobody reads yet. */
export interface OpenResponse {
  readonly status: number
  readonly headers: Headers
  /** Yields bytes. Destroyed without an end, the connection was cut. */
  readonly body: Readable
  /** Leaves as a client that closes its connection. Resolves when all that was opened for it is closed. */
  close(): Promise<void>
}

/** Headers as Node gives them. */
export function headersOf(given: Readonly<Record<string, unknown>>): Headers {
  const headers = new Headers()
  for (const [name, value] of Object.entries(given)) {
    // What HTTP/2 has among them is no header.
    if (name.startsWith(':')) continue
    for (const each of [value].flat()) if (each !== undefined) headers.append(name, String(each))
  }
  return headers
}
