import { type PageLimits, PollPage } from '../formats/poll-page.ts'
import { type Flushable, turn } from '../scheduler/turn.ts'

/** Keeps the last page until the end of the turn, because thousands of polls often get the same page. */
export class PageCache implements Flushable {
  #lines: readonly Buffer[] = []
  #limits: PageLimits | undefined
  #page: PollPage | undefined

  /** Returns the page of lines of NDJSON. The list MUST NOT be changed afterwards. */
  pageOf(lines: readonly Buffer[], limits: PageLimits | undefined): PollPage {
    if (this.#page && haveSameLimits(limits, this.#limits) && isSame(lines, this.#lines)) return this.#page
    if (!this.#page) turn.scheduleFlush(this)
    this.#lines = lines
    this.#limits = limits
    this.#page = new PollPage(Buffer.concat(lines), limits)
    return this.#page
  }

  /** @internal */
  _flush(): void {
    this.#lines = []
    this.#page = undefined
  }
}

function haveSameLimits(limits: PageLimits | undefined, others: PageLimits | undefined): boolean {
  return limits?.events === others?.events && limits?.bytes === others?.bytes
}

function isSame(lines: readonly Buffer[], others: readonly Buffer[]): boolean {
  return lines.length === others.length && lines.every((line, i) => line === others[i])
}
