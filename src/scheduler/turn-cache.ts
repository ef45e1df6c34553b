import { type Flushable, turn } from './turn.ts'

/** Keeps the last result until the end of the turn, because thousands of streams often combine the same parts. */
export class TurnCache<Part, Result> implements Flushable {
  #parts: readonly Part[] = []
  #result: Result | undefined

  /**
   * Returns the last result if its parts were the same, otherwise combines them. The list MUST NOT be changed
   * afterwards.
   */
  get(parts: readonly Part[], combine: (parts: readonly Part[]) => Result): Result {
    if (this.#result && isSame(parts, this.#parts)) return this.#result
    if (!this.#result) turn.scheduleFlush(this)
    this.#parts = parts
    this.#result = combine(parts)
    return this.#result
  }

  /** @internal */
  _flush(): void {
    this.#parts = []
    this.#result = undefined
  }
}

function isSame(parts: readonly unknown[], others: readonly unknown[]): boolean {
  return parts.length === others.length && parts.every((part, i) => part === others[i])
}
