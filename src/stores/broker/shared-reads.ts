import type { StoredEntry } from './driver.ts'

type Read = Promise<readonly StoredEntry[] | 'gap'>

interface Shared {
  readonly read: Read
  /** Begins when the read is done. */
  expiry?: { refresh?(): unknown; unref?(): unknown }
}

// Clients that were cut off together come back one after the other, with no more between them than this, in ms.
const SHARED_FOR = 1_000

/** Clients that stopped at the same place share one read of the broker, for as long as they keep coming. */
export class SharedReads {
  readonly #read: (after: string) => Read
  readonly #reads = new Map<string, Shared>()

  constructor(read: (after: string) => Read) {
    this.#read = read
  }

  after(place: string): Read {
    const shared = this.#reads.get(place)
    if (!shared) return this.#begin(place)
    shared.expiry?.refresh?.()
    return shared.read
  }

  #begin(place: string): Read {
    const shared: Shared = { read: this.#read(place) }
    this.#reads.set(place, shared)
    const expiry = () => void this.#reads.delete(place)
    const forgetLater = () => {
      shared.expiry = setTimeout(expiry, SHARED_FOR)
      shared.expiry.unref?.()
    }
    shared.read.then(forgetLater, expiry)
    return shared.read
  }
}
