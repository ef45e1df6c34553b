import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { BEAT, now } from './witness-log.js'

// The part of a lease for which a process must have stood still, so that its runs may be lost.
const STALL = 0.3
// The part of a lease for which a source may run on in a process that was frozen, once others have ended its run.
const DELAY = 0.5

/** A source that a process has run. Times are in ms on the clock of all processes. */
class WitnessedSource {
  closedAt = Number.POSITIVE_INFINITY
  steps = 0

  constructor(process, id, generation, openedAt) {
    this.process = process
    this.id = id
    this.generation = generation
    this.openedAt = openedAt
  }

  /** When the source was closed, or its process killed. */
  get endedAt() {
    return Math.min(this.closedAt, this.process.killedAt)
  }
}

/** A process with the times at which it was running. */
class WitnessedProcess {
  sources = new Map()
  beats = []

  constructor(killedAt) {
    this.killedAt = killedAt
  }

  /** Returns how long the process ran between two times, in ms. It does not count while it is frozen or starved. */
  runningTime(from, to) {
    return this.beats.filter((beat) => beat > from && beat < to).length * BEAT
  }

  /** Returns the longest time without a beat between two times, in ms. */
  stall(from, to) {
    const beats = [...this.beats.filter((beat) => beat > from && beat < to), to]
    const before = this.beats.findLast((beat) => beat <= from) ?? from
    return Math.max(...beats.map((beat, at) => beat - (at > 0 ? beats[at - 1] : before)))
  }
}

/** Determines which sources ran, from the notes of all processes. */
export class Witness {
  folder = mkdtempSync(join(tmpdir(), 'spillway-witness-'))
  faults = []
  /** The longest time for which a source ran on after its run was reported as lost, in ms. */
  longest = 0
  /** How many runs were lost before their source had begun. */
  lostStarts = 0
  #lease
  #startedAt = now()
  #kills = new Map()
  #sources = []

  constructor(lease) {
    this.#lease = lease
  }

  onKill(pid) {
    this.#kills.set(String(pid), now())
  }

  /** Reads the notes of all processes. */
  read() {
    this.#sources = readdirSync(this.folder).flatMap((pid) => this.#readProcess(pid))
    rmSync(this.folder, { recursive: true })
  }

  get steps() {
    return this.#sources.reduce((sum, { steps }) => sum + steps, 0)
  }

  /** Judges one generation of a run, and whether an earlier one ran on. */
  judge(id, generation, end, endedAt) {
    const sources = this.#sources.filter((source) => source.id === id)
    const own = sources.filter((source) => source.generation === generation)
    if (own.length > 1) this.#report('second sources', id, `generation ${generation} has ${own.length}`)
    const [source] = own
    if (!source) {
      this.lostStarts += 1
      if (end !== 'lost') this.#report('second sources', id, `${end} without a source`)
      return
    }
    for (const earlier of sources.filter((each) => each.generation < generation))
      this.#judgeOverlap(earlier, source.openedAt, 'ran twice')
    if (end === 'lost') this.#judgeLost(source, endedAt)
    else if (source.closedAt > endedAt)
      this.#report('ran on after its end', id, `${end}, for ${source.closedAt - endedAt} ms`)
  }

  #judgeLost(source, endedAt) {
    const { process, openedAt, id } = source
    const stall = process.stall(openedAt, endedAt)
    if (process.killedAt > endedAt && stall < STALL * this.#lease)
      this.#report(
        'unfounded losses',
        id,
        `longest stall ${Math.round(stall)} ms, at ${(endedAt - this.#startedAt) / 1_000} s`,
      )
    this.#judgeOverlap(source, endedAt, 'ran on after lost')
  }

  #judgeOverlap({ process, endedAt, id }, from, fault) {
    const time = process.runningTime(from, endedAt)
    this.longest = Math.max(this.longest, time)
    if (time > DELAY * this.#lease) this.#report(fault, id, `for ${time} ms`)
  }

  #report(fault, id, text) {
    this.faults.push({ fault, text: `${id}: ${text}` })
  }

  #readProcess(pid) {
    const process = new WitnessedProcess(this.#kills.get(pid) ?? Number.POSITIVE_INFINITY)
    for (const line of readFileSync(join(this.folder, pid), 'utf8').split('\n')) note(process, line)
    return [...process.sources.values()]
  }
}

// A line of a killed process may be incomplete.
function note(process, line) {
  const [time, kind, number, id, generation] = line.split(' ')
  const source = process.sources.get(number)
  if (kind === 'beat') process.beats.push(Number(time))
  else if (kind === 'open')
    process.sources.set(number, new WitnessedSource(process, id, Number(generation), Number(time)))
  else if (kind === 'step' && source) source.steps += 1
  else if (kind === 'close' && source) source.closedAt = Number(time)
}
