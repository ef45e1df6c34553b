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
  reason: TransportReason | undefined
  /** Whether to ask for padded heartbeats. Undefined until that is tried. */
  isPadded: boolean | undefined
  /** Whether the server has responded to a poll without its JSON. */
  lacksPoll = false
  epoch: string | undefined
  #key = ''

  /** Reads what the session knows of a URL without its query. Returns true if polls are in use because of that. */
  open({ origin, pathname }: URL): boolean {
    if (this.#key) return false
    this.#key = origin + pathname
    try {
      Object.assign(this, JSON.parse(recall(this.#key)))
    } catch {
      // Nothing is stored.
    }
    return this.isPolling
  }

  /** Changes and stores what is known. */
  learn(change: Partial<Fallback>): void {
    Object.assign(this, change)
    // Contains the public fields.
    remember(this.#key, JSON.stringify(this))
  }

  /**
   * Whether an id is of another epoch than earlier ones, or follows a gap. Everything is tried again then. The prefix of an
   * id is an epoch if it has a letter: a memory store and JetStream have one, the ids of Redis are times.
   */
  isNewEpoch(id: string, hasGap: boolean): boolean {
    const epoch = /^(.*[a-z].*)-\d+$/i.exec(id)?.[1] ?? this.epoch
    const isOther = epoch !== this.epoch
    const isNew = hasGap || (isOther && this.epoch !== undefined)
    if (isNew) this.learn({ epoch, lacksPoll: false, isPadded: this.isPadded || undefined })
    else if (isOther) this.learn({ epoch })
    return isNew
  }
}
