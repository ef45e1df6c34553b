/** Accounts for one client: the events that it is owed from its first position on, and those that it received. */
export class Ledger {
  deliveries = 0
  /** Gaps before an event that the broker had evicted. */
  gaps = 0
  /** Gaps of a client whose missing events were all stored, or that missed nothing. */
  falseGaps = 0
  duplicates = 0
  losses = 0
  reorderings = 0
  #log
  #kind
  // The newest event received.
  #last = 0
  // The first event received, with the position before it.
  #first
  // Where the client starts: a position, or the newest event when it had been subscribed for a while.
  #start
  #isAfterGap = false

  constructor(log, kind) {
    this.#log = log
    this.#kind = kind
  }

  /** Whether the client has received all its events. */
  get isComplete() {
    return this.#start !== undefined && this.#log.next(this.#kind, this.#covered) === undefined
  }

  /** Records a connection that ended without an id, although the client had been subscribed since an event. */
  subscribed(since) {
    this.#start ??= { n: since }
  }

  position(id) {
    this.#start ??= { id }
  }

  gap() {
    const missing = this.#log.next(this.#kind, this.#covered)
    const isEvicted = missing !== undefined && this.#log.started - missing >= this.#log.window
    if (isEvicted) this.gaps += 1
    else this.falseGaps += 1
    this.#isAfterGap = true
  }

  event(n) {
    this.deliveries += 1
    this.#start ??= { n: n - 1 }
    if (n === this.#last) this.duplicates += 1
    else if (n < this.#last || !this.#log.owes(this.#kind, n)) this.reorderings += 1
    else if (!this.#isAfterGap) this.#account(n)
    this.#isAfterGap = false
    this.#last = Math.max(n, this.#last)
  }

  /** Accounts for the first event, once the log knows the number of each position. */
  finish() {
    if (this.#first === undefined) return
    this.losses += this.#log.count(this.#kind, this.#startNumber + 1, this.#first)
    this.#first = undefined
  }

  #account(n) {
    if (this.#last === 0) this.#first = n
    else this.losses += this.#log.count(this.#kind, this.#last + 1, n)
  }

  get #startNumber() {
    return this.#start?.n ?? this.#log.numberOf(this.#start?.id)
  }

  get #covered() {
    return Math.max(this.#last, this.#startNumber)
  }
}
