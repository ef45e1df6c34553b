// The sources of the runs in one process. All contenders read the same ones.

// Five characters on average, as the tokens of a language model.
const WORDS = [' Hello', ' world', ' this', ' is a', ' what', ' you', ' model', ' says', ' and', ' more']

/** Returns the text of a token by its number. */
export function tokenOf(number) {
  return WORDS[number % WORDS.length]
}

/** Returns the length of the text of the first tokens of a run. */
export function lengthOf(count) {
  let length = 0
  for (let number = 0; number < count; number++) length += tokenOf(number).length
  return length
}

/** Returns the time in ms. All processes of a machine share this clock. */
export function now() {
  return Number(process.hrtime.bigint()) / 1e6
}

const feeds = new Map()

/** The source of one run. It yields what the pacer has released. */
class Feed {
  /** When each token of the last phase was yielded. */
  yielded = []
  #released = 0
  #count = 0
  #wake

  release(count = 1) {
    this.#released += count
    this.#wake?.()
    this.#wake = undefined
  }

  async *[Symbol.asyncIterator]() {
    for (;;) {
      while (this.#count === this.#released)
        await new Promise((resolve) => {
          this.#wake = resolve
        })
      this.yielded.push(now())
      yield tokenOf(this.#count++)
    }
  }
}

/** Opens the source of a run with a new id. */
export function openFeed(id) {
  const feed = new Feed()
  feeds.set(id, feed)
  return feed
}

/** Releases `count` tokens of each run, one every `interval` ms. The runs have different phases. */
export async function play({ count, interval }) {
  const all = [...feeds.values()]
  for (const feed of all) feed.yielded = []
  const startedAt = now()
  const total = count * all.length
  for (let released = 0; released < total; ) {
    const due = Math.min(total, Math.floor(((now() - startedAt) / interval) * all.length))
    for (; released < due; released++) all[released % all.length].release()
    const next = startedAt + ((released + 1) * interval) / all.length
    await new Promise((resolve) => setTimeout(resolve, Math.ceil(next - now())))
  }
}

/** Returns when each token of the last phase was yielded, by the id of the run. */
export function yieldTimes() {
  return Object.fromEntries([...feeds].map(([id, { yielded }]) => [id, yielded]))
}
