import type { Readable } from 'node:stream'

/** A response whose headers have arrived and whose body has not been read. */
export interface OpenResponse {
  readonly status: number
  readonly headers: Headers
  /** Yields bytes. If it is destroyed before its end, the connection was cut. */
  readonly body: Readable
  /** Closes the connection. Resolves when everything that was opened for the request is closed. */
  close(): Promise<void>
}

/** Converts headers of Node to `Headers`. */
export function headersOf(nodeHeaders: Readonly<Record<string, unknown>>): Headers {
  const headers = new Headers()
  for (const [name, value] of Object.entries(nodeHeaders)) {
    // HTTP/2 lists pseudo-headers such as `:status` among the headers.
    if (name.startsWith(':')) continue
    for (const each of [value].flat()) if (each !== undefined) headers.append(name, String(each))
  }
  return headers
}
