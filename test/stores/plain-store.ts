import type { StoreLimits } from '../../src/stores/memory/memory-store.ts'

export interface Listed {
  readonly id: string
  readonly channel: string
  readonly data: string
  readonly size: number
  readonly time: number
  /** What a newer one replaces. */
  readonly key: string | undefined
  readonly idempotencyKey: string | undefined
}

/** What a memory log must be, as lists. */
export class PlainLog {
  readonly #limits: StoreLimits
  readonly #perChannel: StoreLimits
  readonly #all: Listed[] = []
  readonly #evicted = new Set<Listed>()
  #kept: Listed[] = []
  // What would be kept if no entry were replaced by a newer one.
  #unreplaced: Listed[] = []

  constructor(limits: StoreLimits, perChannel: StoreLimits) {
    this.#limits = limits
    this.#perChannel = perChannel
  }

  append(entry: Listed): void {
    const isReplaced = ({ channel, key }: Listed) =>
      key !== undefined && key === entry.key && channel === entry.channel
    this.#all.push(entry)
    this.#kept = [...this.#kept.filter((each) => !isReplaced(each)), entry]
    this.#unreplaced.push(entry)
    this.evict(entry.time)
  }

  evict(now: number): void {
    const kept = this.#within(this.#kept, now)
    for (const entry of this.#kept) if (!kept.includes(entry)) this.#evicted.add(entry)
    this.#kept = kept
    this.#unreplaced = this.#within(this.#unreplaced, now)
  }

  /** What lies after the first so many entries: a gap when some of it was evicted. */
  read(channels: readonly string[], after: number): string[] | 'gap' {
    const missed = this.#all.slice(after).filter(({ channel }) => channels.includes(channel))
    if (missed.some((entry) => this.#evicted.has(entry))) return 'gap'
    return missed.filter((entry) => this.#kept.includes(entry)).map(({ data }) => data)
  }

  /** The id of what was published under a key and still counts. */
  idOf(channel: string, idempotencyKey: string): string | undefined {
    const known = [...this.#kept, ...this.#unreplaced]
    return known.find((each) => each.channel === channel && each.idempotencyKey === idempotencyKey)?.id
  }

  #within(entries: readonly Listed[], now: number): Listed[] {
    const channels = new Set(entries.map(({ channel }) => channel))
    const ofOne = (name: string) => entries.filter(({ channel }) => channel === name)
    const own = [...channels].flatMap((name) => newest(ofOne(name), this.#perChannel, now))
    const inOrder = entries.filter((entry) => own.includes(entry))
    return newest(inOrder, this.#limits, now)
  }
}

/** As many of the newest as there may be. */
function newest(entries: readonly Listed[], limits: StoreLimits, now: number): Listed[] {
  const { maxEvents = Infinity, maxBytes = Infinity, maxAge = Infinity } = limits
  const left = [...entries]
  const bytes = () => left.reduce((sum, { size }) => sum + size, 0)
  while (left.length > maxEvents || bytes() > maxBytes || now - (left[0]?.time ?? now) > maxAge) left.shift()
  return left
}
