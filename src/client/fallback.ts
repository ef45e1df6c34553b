import { recall, remember } from './session.ts'

/** A code that states why a transport was chosen. */
export type TransportReason =
  | 'no-headers'
  | 'no-first-byte'
  | 'bursts'
  | 'cuts'
  | 'silent'
  | 'retry'
  | 'online'

/**
 * What is known about the network between the page and a server. It is remembered for the session, until the ids of the
 * server are of a new epoch.
 */
export class Fallback {
  /** Whether long polls are in use. */
  isPolling = false
  /** Why the transport was chosen. */
  declare reason: TransportReason | undefined
  /** Whether to ask for padded heartbeats. Undefined until that is tried. */
  declare isPadded: boolean | undefined
  /** Whether the server has responded to a poll without its JSON. */
  declare lacksPoll: boolean | undefined
  declare epoch: string | undefined
  #key = ''

  /** Reads what the session knows under a key, unless that is done. */
  open(key: string): void {
    if (this.#key) return
    this.#key = key
    Object.assign(this, JSON.parse(recall(key) || '{}'))
  }

  /** Changes and stores what is known. */
  learn(change: Partial<Fallback>): void {
    Object.assign(this, change)
    // Contains the public fields.
    remember(this.#key, JSON.stringify(this))
  }

  /**
   * Whether an id is of another epoch than earlier ones. The prefix of an id is an epoch if it has a letter: a memory store
   * and JetStream have one, the ids of Redis are times.
   */
  isNewEpoch(id: string): boolean {
    const old = this.epoch
    const epoch = /.*[a-z].*(?=-\d+$)/i.exec(id)?.[0] ?? old
    if (epoch === old) return false
    this.learn({ epoch })
    return old !== undefined
  }
}
