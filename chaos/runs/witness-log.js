import { openSync, writeSync } from 'node:fs'
import { join } from 'node:path'

// The interval at which a process notes that it is running, in ms.
export const BEAT = 50

/** Returns the time in ms on a clock that all processes share. */
export function now() {
  return Number(process.hrtime.bigint()) / 1e6
}

/**
 * The notes of a process about the sources that it runs. Each line is written before the source continues, so that the
 * file has it even if the process is killed at once.
 */
export class WitnessLog {
  #file
  #count = 0

  constructor(folder) {
    this.#file = openSync(join(folder, String(process.pid)), 'a')
    this.#write('beat')
    setInterval(() => this.#write('beat'), BEAT)
  }

  /** Notes that a source has begun. Returns its number in this process. */
  open(id, generation) {
    this.#count += 1
    this.#write('open', this.#count, id, generation)
    return this.#count
  }

  /** Notes that a source is about to yield its next item. */
  step(source) {
    this.#write('step', source)
  }

  /** Notes that the `finally` of a source has run. */
  close(source) {
    this.#write('close', source)
  }

  #write(...words) {
    writeSync(this.#file, `${now()} ${words.join(' ')}\n`)
  }
}
