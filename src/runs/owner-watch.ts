import { outsideRequests } from '../scheduler/context.ts'
import type { RunStore } from '../stores/run-store.ts'
import { TICKS_PER_LEASE } from './lease.ts'
import type { RunLog } from './run-log.ts'

// How many consecutive checks must find no owner. With the time that a store keeps one, they take less than a lease.
const MISSES = 3

// The count of misses after an outage, so that the owner, which reconnects too, has a whole lease in total.
const AFTER_OUTAGE = MISSES - TICKS_PER_LEASE
// A check has spanned an outage if it takes longer than this part of the lease, plus the lateness of a deadline in ms.
const SLOW = 0.3
const LATENESS = 200

interface Watched {
  readonly logs: Set<RunLog>
  misses: number
  checks: number
  isChecking: boolean
}

/**
 * Watches whether the owners of the runs that have subscribers in this process are alive, and reads runs of which
 * nothing was reported for the time of a lease.
 */
export class OwnerWatch {
  readonly #store: RunStore
  readonly #ownName: string
  readonly #lease: number
  readonly #onDead: (log: RunLog) => void
  readonly #owners = new Map<string, Watched>()
  #timer: ReturnType<typeof setInterval> | undefined

  /** `onDead` is called at each check after the misses, until the run is removed. Never for the owner `ownName`. */
  constructor(store: RunStore, ownName: string, lease: number, onDead: (log: RunLog) => void) {
    this.#store = store
    this.#ownName = ownName
    this.#lease = lease
    this.#onDead = onDead
  }

  add(log: RunLog): void {
    const watched = this.#owners.get(log.owner) ?? {
      logs: new Set(),
      misses: 0,
      checks: 0,
      isChecking: false,
    }
    this.#owners.set(log.owner, watched)
    watched.logs.add(log)
    this.#timer ??= this.#start()
  }

  remove(log: RunLog): void {
    const watched = this.#owners.get(log.owner)
    if (watched?.logs.delete(log) && watched.logs.size === 0) this.#owners.delete(log.owner)
    if (this.#owners.size > 0) return
    clearInterval(this.#timer)
    this.#timer = undefined
  }

  #start(): ReturnType<typeof setInterval> {
    const check = () => {
      for (const [owner, watched] of this.#owners) void this.#check(owner, watched)
    }
    const timer = outsideRequests(setInterval, check, this.#lease / TICKS_PER_LEASE)
    timer.unref?.()
    return timer
  }

  // Runs one check at a time. Otherwise all checks that have spanned an outage would count as misses of an owner that
  // could not renew its lease.
  async #check(owner: string, watched: Watched): Promise<void> {
    if (watched.isChecking) return
    watched.isChecking = true
    const startedAt = performance.now()
    const isAlive = await this.#isAlive(owner)
    const isSlow = performance.now() - startedAt > this.#lease * SLOW + LATENESS
    watched.isChecking = false
    if (isAlive) watched.misses = 0
    else if (isAlive === undefined || isSlow) watched.misses = AFTER_OUTAGE
    else watched.misses += 1
    watched.checks += 1
    // A broker may have lost the message about a batch that it has stored.
    if (watched.checks % TICKS_PER_LEASE === 0) for (const log of watched.logs) log.readIfQuiet()
    if (watched.misses >= MISSES) for (const log of [...watched.logs]) if (!log.end) this.#onDead(log)
  }

  /** Returns undefined during an outage, in which the owner cannot renew its lease either. */
  async #isAlive(owner: string): Promise<boolean | undefined> {
    try {
      return owner === this.#ownName || (await this.#store.isAlive(owner))
    } catch {
      return undefined
    }
  }
}
