import type { StreamCounts } from '../stream-counts.ts'

/** Returns counts of the streams of this process, which is the default of `StreamLimits`. */
export function memoryCounts(): StreamCounts {
  return new MemoryCounts()
}

/** The counts of all processes. Several `MemoryCounts` on one `CountMemory` behave like those of several processes. */
export class CountMemory {
  readonly totals = new Map<string, number>()
}

export class MemoryCounts implements StreamCounts {
  readonly #memory: CountMemory
  readonly #own = new Map<string, number>()

  constructor(memory = new CountMemory()) {
    this.#memory = memory
  }

  acquire(key: string, max: number): boolean {
    if ((this.#memory.totals.get(key) ?? 0) >= max) return false
    this.add(key)
    return true
  }

  add(key: string): void {
    change(this.#own, key, 1)
    change(this.#memory.totals, key, 1)
  }

  release(key: string): void {
    if (!this.#own.has(key)) return
    change(this.#own, key, -1)
    change(this.#memory.totals, key, -1)
  }

  close(): void {
    for (const [key, count] of this.#own) change(this.#memory.totals, key, -count)
    this.#own.clear()
  }
}

// Changes the count of a key. A key without streams occupies no memory.
function change(counts: Map<string, number>, key: string, by: number): void {
  const count = (counts.get(key) ?? 0) + by
  if (count > 0) counts.set(key, count)
  else counts.delete(key)
}
