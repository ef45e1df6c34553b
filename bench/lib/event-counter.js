// The end of a line of JSON data. Comments, ids and headers do not contain it.
const START = '{'
const BRACE = START.charCodeAt(0)
const COLON = ':'.charCodeAt(0)
const END = '}\n'
const TIME = /"at":"(\d+)"$/
const TIME_LENGTH = 32
// Numbered events end with `"n":1000000,"at":"0000000000000000"}`, so that the number has a fixed position.
const NUMBER_LENGTH = 7
const NUMBER_BEFORE_END = '1000000,"at":"0000000000000000"'.length
const KEPT = 64
const EMPTY = Buffer.alloc(0)

/** The sums of all counters of the process. */
export const totals = { events: 0, disorder: 0, gaps: 0, latencies: [] }

/** Counts the events in the body of one response. */
export class EventCounter {
  events = 0
  /** The number of the newest event. */
  newest = 0
  #isTimed
  #isNumbered
  #end
  #tail = EMPTY

  /** `end` is the end of an event, which begins with that of its data. */
  constructor({ isTimed = false, isNumbered = false, end = END }) {
    this.#isTimed = isTimed
    this.#isNumbered = isNumbered
    this.#end = end
  }

  /** Reads a part of the body. An event may be split between two parts, so its beginning is kept for the next call. */
  read(chunk) {
    const hasTail = this.#tail.length > 0
    const text = hasTail ? Buffer.concat([this.#tail, chunk]) : chunk
    let from = 0
    for (let at = text.indexOf(this.#end); at >= 0; at = text.indexOf(this.#end, from)) {
      // The data of a position, which a hub sends each client, is `{}`.
      if (text[at - 1] !== BRACE) this.#count(text, at)
      from = at + this.#end.length
    }
    const isInEvent = (from === 0 && hasTail) || text.indexOf(START, from) >= 0
    this.#tail = isInEvent ? Buffer.from(text.subarray(Math.max(from, text.length - KEPT))) : EMPTY
  }

  /** Discards the beginning of an event, because its rest will not be received. */
  reset() {
    this.#tail = EMPTY
  }

  #count(text, end) {
    if (this.#isNumbered && text[end - NUMBER_BEFORE_END - 1] !== COLON) {
      // The only other event is a gap.
      totals.gaps += 1
      return
    }
    this.events += 1
    totals.events += 1
    if (this.#isNumbered) this.#checkNumber(text, end)
    if (this.#isTimed) recordLatency(text.latin1Slice(Math.max(0, end - TIME_LENGTH), end))
  }

  #checkNumber(text, end) {
    const start = end - NUMBER_BEFORE_END
    let number = 0
    for (let i = start; i < start + NUMBER_LENGTH; i++) number = number * 10 + text[i] - 48
    if (this.newest !== 0 && number !== this.newest + 1) totals.disorder += 1
    this.newest = number
  }
}

// All processes of a machine share the monotonic clock.
function recordLatency(text) {
  const sentAt = TIME.exec(text)?.[1]
  if (sentAt) totals.latencies.push(Number(process.hrtime.bigint() - BigInt(sentAt)) / 1e6)
}
