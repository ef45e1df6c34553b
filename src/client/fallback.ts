import { readItem, writeItem } from './session.ts'

/** A code that states why a transport was chosen. */
export type TransportReason =
  | 'no-headers'
  | 'no-first-byte'
  | 'bursts'
  | 'cuts'
  | 'silent'
  | 'retry'
  | 'online'

/** Properties of the network to a server, kept for the session until the ids of the server have a new epoch. */
export class Fallback {
  /** Whether long polls are in use. */
  isPolling = false
  /** Why the transport was chosen. */
  declare reason: TransportReason | undefined
  /** Whether requests have the parameter for padded heartbeats. Undefined until it is tried. */
  declare isPadded: boolean | undefined
  /** Whether the server has responded to a poll without its JSON. */
  declare lacksPoll: boolean | undefined
  declare epoch: string | undefined
  #key = ''

  /** Reads the properties that the session has stored under a key, unless they are read already. */
  open(key: string): void {
    if (this.#key) return
    this.#key = key
    Object.assign(this, JSON.parse(readItem(key) || '{}'))
  }

  /** Changes properties, and stores them. */
  learn(change: Partial<Fallback>): void {
    Object.assign(this, change)
    // The JSON contains the public fields.
    writeItem(this.#key, JSON.stringify(this))
  }

  /**
   * Whether an id has another epoch than earlier ones. The prefix of an id is an epoch if it contains a letter, as with
   * a memory store and JetStream. Ids of Redis are times.
   */
  isNewEpoch(id: string): boolean {
    const old = this.epoch
    // Linear for any id, because both parts are searched from the beginning only.
    const epoch = /^(?=.*[a-z])(.*)-\d+$/i.exec(id)?.[1]
    if (!epoch || epoch === old) return false
    this.learn({ epoch })
    return !!old
  }
}
