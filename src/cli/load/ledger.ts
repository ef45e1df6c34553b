import { lowerBound } from '../../lower-bound.ts'

/** Numbered events of one mix, over all its streams. */
export interface LedgerCounts {
  /** Numbers that a stream has not received although later ones came, without a reported gap. */
  lost: number
  /** Numbers that are missing, but were covered by a gap event of the server. */
  lostInGaps: number
  /** Numbers that a stream received again. The first time does not count. */
  duplicates: number
  /** Numbers that a stream received after a later one. */
  outOfOrder: number
  /** The outcomes of reconnections with a last event id. */
  readonly resumes: Record<ResumeOutcome, number>
}

/**
 * The kind of the first event after a reconnection. `exact`: the next event; `repeated`: an earlier one; `reported`: a
 * gap event; `silent`: a later event.
 */
export type ResumeOutcome = 'exact' | 'repeated' | 'reported' | 'silent'

/** A range of missing numbers. Numbers before the first number of a stream are `early`, and do not count as lost. */
interface Missing {
  from: number
  to: number
  readonly kind: 'lost' | 'lostInGaps' | 'early'
}

/** A server that loses every other event would otherwise exhaust the memory. Older ranges still count as lost. */
const MAX_RANGES = 256

/** Returns counts of zero. */
export function emptyLedgerCounts(): LedgerCounts {
  return {
    lost: 0,
    lostInGaps: 0,
    duplicates: 0,
    outOfOrder: 0,
    resumes: { exact: 0, repeated: 0, reported: 0, silent: 0 },
  }
}

/**
 * The numbers that one stream has received. Numbers are whole and consecutive. The first one of a stream is its
 * beginning, so that events before the stream was open are not lost.
 */
export class Ledger {
  readonly #counts: LedgerCounts
  readonly #unpublished: readonly number[]
  #first = 0
  /** The expected number. Undefined before the first event. */
  #next: number | undefined
  #missing: Missing[] | undefined
  #isAfterGap = false
  #isResuming = false

  /** `unpublished` contains numbers that do not count as lost, in ascending order. More may be added. */
  constructor(counts: LedgerCounts, unpublished: readonly number[] = []) {
    this.#counts = counts
    this.#unpublished = unpublished
  }

  /** True after the first number. */
  get hasBegun(): boolean {
    return this.#next !== undefined
  }

  /** True from the beginning of a connection with a last event id until its first event. */
  get isResuming(): boolean {
    return this.#isResuming
  }

  /** True if each number up to `highest` was received, or counts as missing. */
  hasReached(highest: number): boolean {
    return (this.#next ?? 0) > highest
  }

  /** Begins a connection that was opened with the last event id. Its first event is the outcome. */
  resume(): void {
    if (this.#next !== undefined) this.#isResuming = true
  }

  /** Begins a connection without a last event id. */
  restart(): void {
    this.#isResuming = false
  }

  /**
   * Removes all numbers, because the server counts the events of each connection. Missing numbers still count as lost.
   */
  clear(): void {
    this.#next = undefined
    this.#missing = undefined
    this.#isAfterGap = false
    this.#isResuming = false
  }

  /** Notes a gap event. The numbers that are missing at the next event are not lost silently. */
  gap(): void {
    this.#isAfterGap = true
    this.#conclude('reported')
  }

  receive(number: number): void {
    const next = this.#next
    if (next === undefined) {
      this.#first = number
      this.#next = number + 1
    } else if (number >= next) {
      this.#conclude(this.#countBetween(next, number - 1) === 0 ? 'exact' : 'silent')
      if (number > next) this.#miss(next, number - 1, this.#isAfterGap ? 'lostInGaps' : 'lost')
      this.#next = number + 1
    } else if (number < this.#first) {
      this.#conclude('exact')
      this.#counts.outOfOrder += 1
      this.#miss(number + 1, this.#first - 1, 'early')
      this.#first = number
    } else this.#receiveLate(number)
    this.#isAfterGap = false
  }

  /**
   * Counts the numbers up to `highest` that did not arrive by the end, except those that were not published.
   * `isTailKnown` is false for a stream that was not open at the end, and may have received them later.
   */
  settle(highest: number, isTailKnown: boolean): void {
    const next = this.#next
    if (next === undefined) return
    if (isTailKnown && highest >= next) {
      this.#miss(next, highest, this.#isAfterGap ? 'lostInGaps' : 'lost')
      this.#next = highest + 1
    }
    for (const range of this.#missing ?? []) this.#subtractUnpublished(range)
  }

  #receiveLate(number: number): void {
    if (this.#removeMissing(number)) {
      this.#conclude('exact')
      this.#counts.outOfOrder += 1
    } else {
      this.#conclude('repeated')
      this.#counts.duplicates += 1
    }
  }

  #conclude(outcome: ResumeOutcome): void {
    if (!this.#isResuming) return
    this.#isResuming = false
    this.#counts.resumes[outcome] += 1
  }

  #miss(from: number, to: number, kind: Missing['kind']): void {
    if (from > to) return
    if (kind !== 'early') this.#counts[kind] += to - from + 1
    this.#missing ??= []
    this.#missing.push({ from, to, kind })
    if (this.#missing.length <= MAX_RANGES) return
    const oldest = this.#missing.shift()
    if (oldest) this.#subtractUnpublished(oldest)
  }

  #subtractUnpublished({ from, to, kind }: Missing): void {
    if (kind !== 'early') this.#counts[kind] -= to - from + 1 - this.#countBetween(from, to)
  }

  /** Returns how many numbers of a range were published. */
  #countBetween(from: number, to: number): number {
    const unpublished = this.#unpublished
    if (unpublished.length === 0) return to - from + 1
    const indexOf = (number: number) =>
      lowerBound(unpublished.length, (at) => (unpublished[at] ?? 0) >= number)
    return to - from + 1 - (indexOf(to + 1) - indexOf(from))
  }

  /** Removes a number from the missing numbers. Returns false if it was not missing. */
  #removeMissing(number: number): boolean {
    const index = this.#missing?.findIndex(({ from, to }) => from <= number && number <= to) ?? -1
    const range = this.#missing?.[index]
    if (!range) return false
    const { from, to, kind } = range
    if (kind !== 'early') this.#counts[kind] -= 1
    const rest = [
      { from, to: number - 1, kind },
      { from: number + 1, to, kind },
    ].filter((each) => each.from <= each.to)
    this.#missing?.splice(index, 1, ...rest)
    return true
  }
}
