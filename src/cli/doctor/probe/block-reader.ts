import { StreamLines } from '../../../testing/stream-lines.ts'

/** Callbacks of a reader, called in the order of the stream. */
export interface BlockListener {
  /** Called after a block. `event` is undefined for a block without data. `id` is the last event id after it. */
  onBlock(id: string, hasId: boolean, event: { event: string; data: string } | undefined): void
  /** Called at the first byte of a block. */
  onBlockStart(): void
  onComment(text: string): void
}

/** Reads an event stream as the HTML standard describes. Its chunks may be split at any byte. */
export class BlockReader {
  /** How many lines have ended. */
  lineCount = 0
  readonly #listener: BlockListener
  readonly #lines = new StreamLines()
  #isInBlock = false
  #lastId = ''
  #hasId = false
  #event = ''
  #data: string[] = []

  constructor(listener: BlockListener, lastId: string) {
    this.#listener = listener
    this.#lastId = lastId
  }

  read(bytes: Uint8Array): void {
    const wasLineStart = this.#lines.rest === ''
    const lines = this.#lines.feed(bytes)
    this.lineCount += lines.length
    for (const line of lines) this.#readLine(line)
    const { rest } = this.#lines
    const isLineStart = wasLineStart || lines.length > 0
    if (isLineStart && rest !== '' && !rest.startsWith(':')) this.#startBlock()
  }

  #readLine(line: string): void {
    if (line === '') this.#endBlock()
    else this.#readField(line)
  }

  #readField(line: string): void {
    const [, name = '', value = ''] = /^([^:]*)(?:: ?)?(.*)$/s.exec(line) ?? []
    if (name === '') this.#listener.onComment(value)
    else this.#startBlock()
    if (name === 'event') this.#event = value
    else if (name === 'data') this.#data.push(value)
    // [spec] An id with NUL is ignored.
    else if (name === 'id' && !value.includes('\0')) {
      this.#lastId = value
      this.#hasId = true
    }
  }

  #startBlock(): void {
    if (this.#isInBlock) return
    this.#isInBlock = true
    this.#listener.onBlockStart()
  }

  #endBlock(): void {
    const [event, data, hasId] = [this.#event || 'message', this.#data, this.#hasId]
    this.#event = ''
    this.#data = []
    this.#hasId = this.#isInBlock = false
    this.#listener.onBlock(
      this.#lastId,
      hasId,
      data.length > 0 ? { event, data: data.join('\n') } : undefined,
    )
  }
}
