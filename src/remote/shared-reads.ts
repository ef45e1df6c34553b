import type { StoredEntry } from './engine.ts'

type Read = Promise<readonly StoredEntry[] | 'gap'>

// Clients that were cut off together come back within about so long, in ms.
const SHARED_FOR = 1_000

/** Clients that stopped at the same place share one read of the broker. */
export class SharedReads {
  readonly #read: (after: string) => Read
  readonly #reads = new Map<string, Read>()

  constructor(read: (after: string) => Read) {
    this.#read = read
  }

  after(place: string): Read {
    const shared = this.#reads.get(place)
    if (shared) return shared
    const read = this.#read(place)
    this.#reads.set(place, read)
    const forget = () => void this.#reads.delete(place)
    read.then(() => setTimeout(forget, SHARED_FOR).unref?.(), forget)
    return read
  }
}
