import { Deadline } from '../../scheduler/deadline.ts'
import type { CountUpdate } from './counts-driver.ts'

/** Receives the notifications of a key's acquires. */
export interface KeyCountListener {
  /** How long an acquire waits until its command is sent, in ms. */
  readonly timeout: number
  /** Called when an acquire waits. */
  onWaiting(count: KeyCount): void
  /** Called when a stream was not counted, because it has waited too long. */
  onExpired(count: KeyCount): void
}

interface Acquire {
  readonly max: number
  readonly deadline: Deadline
  resolve(isCounted: boolean): void
  reject(error: unknown): void
}

/** The number of streams with a key in this process, and the acquires that wait for the broker. */
export class KeyCount {
  readonly key: string
  held = 0
  /** Whether a command with this key is in flight. */
  isBusy = false
  #waiting: Acquire[] = []
  // Whether the broker may have a count of this process.
  #isStored = false
  // The update of the command in flight.
  #update: CountUpdate | undefined
  #acquires: Acquire[] = []

  constructor(key: string) {
    this.key = key
  }

  get isWaiting(): boolean {
    return this.#waiting.length > 0
  }

  /** Whether no count and no acquire exists, here or in the broker. */
  get isIdle(): boolean {
    return this.held === 0 && !this.isBusy && !this.isWaiting && !this.#isStored
  }

  /** Resolves with whether a stream was counted. An acquire that waits too long resolves with false. */
  wait(max: number, listener: KeyCountListener): Promise<boolean> {
    return new Promise((resolve, reject) => {
      const deadline = new Deadline(listener.timeout, () => {
        this.#waiting.splice(this.#waiting.indexOf(acquire), 1)
        resolve(false)
        listener.onExpired(this)
      })
      const acquire = { max, deadline, resolve, reject }
      this.#waiting.push(acquire)
      listener.onWaiting(this)
    })
  }

  /** Returns the next update, for all acquires in front of the queue with the same maximum. */
  begin(): CountUpdate {
    const max = this.#waiting[0]?.max ?? 0
    const other = this.#waiting.findIndex((each) => each.max !== max)
    this.#acquires = this.#waiting.splice(0, other === -1 ? this.#waiting.length : other)
    for (const { deadline } of this.#acquires) deadline.cancel()
    this.#update = { key: this.key, held: this.held, wanted: this.held + this.#acquires.length, max }
    this.isBusy = true
    this.#isStored ||= this.#update.wanted > 0
    return this.#update
  }

  /**
   * Counts the streams that the broker has counted. Others may have been released meanwhile. Returns whether the broker
   * has counted more, because acquires were cancelled.
   */
  end(stored: number): boolean {
    this.#isStored = stored > 0
    const more = Math.max(0, stored - (this.#update?.held ?? 0))
    const counted = Math.min(more, this.#acquires.length)
    this.held += counted
    for (const [at, { resolve }] of this.#acquires.entries()) resolve(at < counted)
    this.#acquires = []
    return more > counted
  }

  /** Rejects the acquires in flight, because the broker cannot store a count for the key. */
  rejectKey(error: unknown): void {
    this.#isStored = false
    this.rejectInFlight(error)
  }

  /** Rejects the acquires in flight. */
  rejectInFlight(error: unknown): void {
    for (const { reject } of this.#acquires) reject(error)
    this.#acquires = []
  }

  /** Rejects the acquires that wait. */
  rejectWaiting(error: unknown): void {
    for (const { deadline, reject } of this.#waiting) {
      deadline.cancel()
      reject(error)
    }
    this.#waiting = []
  }
}
