import type { Exchange } from '../exchange.ts'

/** Returns the bytes of a body. */
export function bytesOf({ arrivals }: Exchange): Buffer {
  return Buffer.concat(arrivals.map(({ bytes }) => bytes))
}

/** Returns the text of a body. Bytes that are not UTF-8 become U+FFFD. */
export function textOf(exchange: Exchange): string {
  return new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytesOf(exchange))
}

/** Returns the complete lines of a body. A line ends with CRLF, LF or CR, as in an event stream. */
export function linesOf(exchange: Exchange): string[] {
  return textOf(exchange)
    .split(/\r\n|\n|\r/)
    .slice(0, -1)
}
