import type { StoredEntry } from './driver.ts'

type Read = Promise<readonly StoredEntry[] | 'gap'>

interface SharedRead {
  readonly result: Read
  /** Started when the read is done. */
  timer?: { refresh?(): unknown; unref?(): unknown }
}

// Clients that were disconnected together reconnect one after the other, at most this far apart, in ms.
const SHARED_FOR = 1_000

/** Clients that resume at the same position share one request to the broker, until none has come for a second. */
export class SharedReads {
  readonly #read: (after: string) => Read
  readonly #reads = new Map<string, SharedRead>()

  constructor(read: (after: string) => Read) {
    this.#read = read
  }

  after(position: string): Read {
    const shared = this.#reads.get(position)
    if (!shared) return this.#start(position)
    shared.timer?.refresh?.()
    return shared.result
  }

  #start(position: string): Read {
    const shared: SharedRead = { result: this.#read(position) }
    this.#reads.set(position, shared)
    const remove = () => void this.#reads.delete(position)
    const removeLater = () => {
      shared.timer = setTimeout(remove, SHARED_FOR)
      shared.timer.unref?.()
    }
    shared.result.then(removeLater, remove)
    return shared.result
  }
}
