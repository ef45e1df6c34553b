// The global `TextDecoder` is undefined in Jest's jsdom environment.
import { TextDecoder } from 'node:util'

const LINE_END = /\r\n|\n|\r/

/** Splits an event stream into its lines. Its chunks may be split at any byte. */
export class StreamLines {
  /** The beginning of a line that has not ended. */
  rest = ''
  // Node 24 removes two BOMs if they arrive in separate chunks, so the BOM is removed here.
  readonly #decoder = new TextDecoder('utf-8', { ignoreBOM: true })
  #isStart = true
  #endedWithCR = false

  /** Returns the lines that end in a chunk. */
  feed(bytes: Uint8Array): string[] {
    const text = this.#withoutBom(this.#decoder.decode(bytes, { stream: true }))
    if (text === '') return []
    // A CR ends its line immediately. If the next chunk begins with LF, that LF belongs to the same line end.
    const isSplitCRLF = this.#endedWithCR && text.startsWith('\n')
    this.#endedWithCR = text.endsWith('\r')
    const [first = '', ...others] = (isSplitCRLF ? text.slice(1) : text).split(LINE_END)
    const lines = [this.rest + first, ...others]
    this.rest = lines.pop() ?? ''
    return lines
  }

  // [spec] One BOM at the start is not part of the stream.
  #withoutBom(text: string): string {
    if (text === '' || !this.#isStart) return text
    this.#isStart = false
    return text.startsWith('\uFEFF') ? text.slice(1) : text
  }
}
