/** The kinds of clients: their channels, and how many events their filter passes: one in `every`. */
export const KINDS = [
  { channels: ['a'], every: 1 },
  { channels: ['a', 'b'], every: 1 },
  { channels: ['a', 'b', 'c'], every: 1 },
  { channels: ['quiet'], every: 1, isRare: true },
  { channels: ['a', 'b', 'c'], every: 400, isRare: true },
  { channels: ['quiet', 'c'], every: 5 },
]

/** The kind of clients that are sent large events. */
export const LARGE_KIND = { channels: ['large', 'a'], every: 1, isLarge: true }

const BUSY = ['a', 'b', 'c']
// One event in this many is large. No event that passes a filter above has the remainder, so the events of these
// filters keep their channels.
const LARGE_EVERY = 10
const LARGE_REMAINDER = 7
const SMALL_SIZE = 80
const LARGE_SIZES = { min: 50_000, max: 400_000 }
// A prime, so that the sizes of large events that follow each other differ.
const STRIDE = 104_729

/** All events in the order of the log. The first one has number 1. */
export class Log {
  /** The number of events whose publication has begun. */
  started = 0
  #channels = ['']
  #ids = []
  #numbers = new Map()
  #quietEvery

  /** `window` is the number of events that the broker keeps. The quiet channel gets less than one event in a window. */
  constructor(window) {
    this.window = window
    this.#quietEvery = Math.ceil(window * 1.3)
  }

  /** Begins an event. Returns its number and its channel. */
  begin() {
    this.started += 1
    const n = this.started
    const channel = this.#channelOf(n)
    this.#channels.push(channel)
    return { n, channel }
  }

  confirm(n, id) {
    this.#numbers.set(id, n)
    this.#ids[n] = id
  }

  /** Returns the number of the event at a position, or 0 for a position before the first event. */
  numberOf(id) {
    return this.#numbers.get(id) ?? 0
  }

  /** Returns the position of an event, or undefined if the broker has not confirmed it. */
  idOf(n) {
    return this.#ids[n]
  }

  /** Returns the length of the text of an event. */
  sizeOf(n) {
    if (this.#channels[n] !== 'large') return SMALL_SIZE
    return LARGE_SIZES.min + ((n * STRIDE) % (LARGE_SIZES.max - LARGE_SIZES.min))
  }

  owes({ channels, every }, n) {
    return n % every === 0 && channels.includes(this.#channels[n])
  }

  /** Returns the next event after a number that a kind of client receives, or undefined if there is none. */
  next(kind, after) {
    for (let n = after + 1; n <= this.started; n++) if (this.owes(kind, n)) return n
    return undefined
  }

  /** Returns the number of events for a kind of client from one number up to, but not including, another. */
  count(kind, from, to) {
    let count = 0
    for (let n = from; n < to; n++) if (this.owes(kind, n)) count += 1
    return count
  }

  #channelOf(n) {
    if (n % this.#quietEvery === 0) return 'quiet'
    return n % LARGE_EVERY === LARGE_REMAINDER ? 'large' : BUSY[n % BUSY.length]
  }
}
