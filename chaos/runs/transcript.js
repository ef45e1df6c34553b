import { parseToken } from './plan.js'

/** The events of a run that one subscriber has received. */
export class Transcript {
  events = 0
  /** The number of the last token. */
  last = 0
  /** The number of gaps. */
  gaps = 0
  /** The reason of the end of the run, or undefined. */
  end
  /** A sentence for each fault. */
  faults = []
  #plan
  #generation
  #isAfterGap = false

  constructor(plan, generation) {
    this.#plan = plan
    this.#generation = generation
  }

  /** Whether tokens after the last one may be missing because of a gap. */
  get isUncertain() {
    return this.#isAfterGap
  }

  /** Records an event. Returns true if it was the last one of the run. */
  receive(event, data) {
    if (event === 'text') this.#text(data)
    else if (event === 'gap') this.#gap(JSON.parse(data).reason)
    else if (event === 'end') return this.#end(JSON.parse(data).reason)
    else this.report('strange events', `received ${event}`)
    return false
  }

  report(fault, text) {
    const { id } = this.#plan
    this.faults.push({ fault, text: `${id}/${this.#generation} after ${this.last}: ${text}` })
  }

  #text(data) {
    this.events += 1
    for (const token of data.split(';').slice(0, -1)) this.#token(token)
  }

  #token(token) {
    const parsed = parseToken(this.#plan, token)
    if (!parsed || parsed.generation !== this.#generation)
      return this.report('damages', `received ${token.slice(0, 40)}`)
    const { n } = parsed
    if (this.end) this.report('reorderings', `${n} after the end`)
    else if (n <= this.last) this.report('duplicates', `${n} again`)
    else if (n > this.last + 1 && !this.#isAfterGap) this.report('losses', `received ${n}`)
    this.#isAfterGap = false
    this.last = Math.max(this.last, n)
  }

  // Only events over a limit may be missing. A gap with the reason `unknown` is allowed before the first event, because
  // the run may not be started yet at its look-up.
  #gap(reason) {
    this.gaps += 1
    if (reason === 'unknown' && this.events === 0 && !this.end) return
    this.#isAfterGap = true
    if (reason !== 'evicted' || !this.#plan.maxEvents) this.report('false gaps', `gap ${reason}`)
  }

  #end(reason) {
    if (this.end && this.end !== reason) this.report('wrong ends', `${reason} after ${this.end}`)
    this.end = reason
    const isWhole = this.last === this.#plan.length
    if (this.#isAfterGap) return true
    if (reason === 'done' && (!isWhole || this.#plan.isFailing)) this.report('wrong ends', reason)
    if (reason === 'error' && (!isWhole || !this.#plan.isFailing)) this.report('wrong ends', reason)
    return true
  }
}
