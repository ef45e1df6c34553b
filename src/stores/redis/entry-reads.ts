import { PlainReads } from './plain-reads.ts'
import { isScriptRefused } from './script.ts'
import { ScriptedReads } from './scripted-reads.ts'
import type { StreamReads } from './stream-reads.ts'

/** Reads entries with scripts, or with plain commands if the user of the connections may not run them. */
export class EntryReads {
  readonly #plain: StreamReads
  #reads: StreamReads

  constructor(key: string) {
    this.#plain = new PlainReads(key)
    this.#reads = new ScriptedReads(key)
  }

  async by<T>(read: (reads: StreamReads) => Promise<T>): Promise<T> {
    try {
      return await read(this.#reads)
    } catch (error) {
      if (this.#reads === this.#plain || !isScriptRefused(error)) throw error
      this.#reads = this.#plain
      return read(this.#reads)
    }
  }
}
