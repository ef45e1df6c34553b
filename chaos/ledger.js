/** Accounts for one client: the events that it is owed from its first position on, and the events that it received. */
export class Ledger {
  deliveries = 0
  /** Gaps before an event that the broker had evicted. */
  gaps = 0
  /** Gaps of a client whose missing events were all stored, or that missed nothing. */
  falseGaps = 0
  duplicates = 0
  losses = 0
  reorderings = 0
  /** Events whose text differs from the published text. */
  damages = 0
  /** A sentence for each false gap, duplicate, loss and reordering. */
  faults = []
  #log
  #kind
  // The newest event received.
  #last = 0
  // The first event received, with the position before it.
  #first
  // Where the client starts: a position, or the newest event when it had been subscribed for a while.
  #start
  #isAfterGap = false
  // The position after the last gap.
  #gapEnd
  // The number of the newest position received, and whether the broker had it when the last connection ended.
  #position = 0
  #wasStored = true

  /** `start` is the event after which the client begins. Without it, the first position of the client counts. */
  constructor(log, kind, start) {
    this.#log = log
    this.#kind = kind
    if (start === undefined) return
    this.#start = { n: start }
    this.#position = start
  }

  /** Whether the client has received all its events. */
  get isComplete() {
    return this.#start !== undefined && this.#log.next(this.#kind, this.#covered) === undefined
  }

  /** Whether the client has received all its events up to a number. */
  hasReached(n) {
    const missing = this.#start === undefined ? 0 : this.#log.next(this.#kind, this.#covered)
    return missing === undefined || missing > n
  }

  /** Records that a connection ended. A position that is evicted afterwards is no fault of the hub. */
  disconnected() {
    this.#wasStored = !this.#isEvicted(this.#position)
  }

  /** Records a connection that ended without an id, although the client had been subscribed since an event. */
  subscribed(since) {
    this.#start ??= { n: since, isAssumed: true }
  }

  position(id) {
    this.#start ??= { id }
    this.#moveTo(id)
  }

  gap(id) {
    const missing = this.#log.next(this.#kind, this.#covered)
    const isMissing = missing !== undefined && this.#isEvicted(missing)
    if (isMissing || (this.#wasStored && this.#isEvicted(this.#position))) this.gaps += 1
    else this.#report('falseGaps', 1, `gap up to ${this.#log.numberOf(id)}`)
    this.#isAfterGap = true
    this.#gapEnd = id
    this.#moveTo(id)
  }

  event({ n, text }) {
    this.deliveries += 1
    if (text.length !== this.#log.sizeOf(n)) this.damages += 1
    this.#start ??= { n: n - 1 }
    if (n === this.#last) this.#report('duplicates', 1, `${n} again`)
    else if (n < this.#last || !this.#log.owes(this.#kind, n)) this.#report('reorderings', 1, `${n}`)
    else if (!this.#isAfterGap) this.#account(n)
    this.#isAfterGap = false
    this.#last = Math.max(n, this.#last)
    this.#position = Math.max(n, this.#position)
  }

  /** Returns what the client has received and what it lacks, for a report. */
  describe() {
    const { channels, every } = this.#kind
    const missing = this.#log.next(this.#kind, this.#covered)
    const assumed = this.#start?.isAssumed ? ' (without a position)' : ''
    const state = `start ${this.#startNumber}${assumed}, last ${this.#last}, position ${this.#position}, next ${missing}`
    return `${channels.join(', ')} (1 in ${every}): ${state}, log ${this.#log.started}`
  }

  /** Accounts for the first event, once the log has the number of each position. */
  finish() {
    if (this.#first === undefined) return
    this.#lose(this.#startNumber + 1, this.#first)
    this.#first = undefined
  }

  #isEvicted(n) {
    return this.#log.started - n >= this.#log.window
  }

  // A position that is not confirmed yet is a new one.
  #moveTo(id) {
    this.#position = this.#log.numberOf(id) || this.#log.started
  }

  #account(n) {
    if (this.#last === 0) this.#first = n
    else this.#lose(this.#last + 1, n)
  }

  #lose(from, to) {
    const count = this.#log.count(this.#kind, from, to)
    if (count > 0) this.#report('losses', count, `${count} lost from ${from} to ${to}`)
  }

  #report(fault, count, text) {
    this[fault] += count
    this.faults.push(`${fault}: ${text}, ${this.describe()}`)
  }

  get #startNumber() {
    return this.#start?.n ?? this.#log.numberOf(this.#start?.id)
  }

  get #covered() {
    return Math.max(this.#last, this.#startNumber, this.#log.numberOf(this.#gapEnd))
  }
}
