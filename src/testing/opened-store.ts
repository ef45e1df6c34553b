import { fail, ok } from 'node:assert/strict'
import { setTimeout as pause } from 'node:timers/promises'
import type { EventStore } from '../stores/event-store.ts'
import type { LogEntry, Publication } from '../stores/log-entry.ts'

/**
 * Returns a new store, which is not open yet and keeps at least 100 small events. If it keeps fewer than 300, the
 * suite also tests how it evicts them.
 */
export type OpenStore = () => EventStore | Promise<EventStore>

export type Run = (opened: Opened) => Promise<void>

/** The functions that the tests run, by title. */
export type Cases = Readonly<Record<string, Run>>

// How long an entry may take from `append` to `onEntry`, in ms.
const TIMEOUT = 5_000
// More pages than any test reads.
const MAX_PAGES = 1_000

/** A store and the entries that it has passed to `onEntry`. */
export class Opened {
  readonly entries: LogEntry[] = []
  readonly store: EventStore

  #closed: Promise<void> | undefined

  private constructor(store: EventStore) {
    this.store = store
    store.open({ onEntry: (entry) => this.entries.push(entry), onLoss: () => {} })
  }

  static async by(open: OpenStore): Promise<Opened> {
    const opened = new Opened(await open())
    await opened.store.ready
    return opened
  }

  // A hub closes its store once.
  close(): Promise<void> {
    this.#closed ??= this.store.close()
    return this.#closed
  }

  append(channel: string, data: number, more: Partial<Publication> = {}): Promise<string> {
    return this.store.append({ channel, data: String(data), ...more })
  }

  /** Appends the numbers below a count. Resolves with their ids. */
  async appendAll(channel: string, count: number): Promise<string[]> {
    const ids: string[] = []
    for (let i = 0; i < count; i++) ids.push(await this.append(channel, i))
    return ids
  }

  /** Resolves with the data of all entries once there are `count` of them. */
  async received(count: number): Promise<unknown[]> {
    await until(() => this.entries.length >= count, `${count} entries passed to onEntry`)
    return dataOf(this.entries)
  }

  /** Reads everything after a position page by page, as a subscription does. */
  async readAll(
    channels: string[],
    after: string,
    limit = 3,
    room = Number.POSITIVE_INFINITY,
  ): Promise<unknown[]> {
    const reader = { room, signal: new AbortController().signal }
    const data: unknown[] = []
    for (let [position, pages] = [after, 0]; pages < MAX_PAGES; pages++) {
      const answer = this.store.read(channels, position, limit, reader)
      const page = await answer
      if (page === 'gap') return [...data, 'gap']
      if (page.entries.length === 0 && page === answer) return data
      ok(page.entries.length <= limit, 'A page has more entries than its limit.')
      data.push(...dataOf(page.entries))
      position = page.upTo
    }
    fail('`read` did not return the empty page synchronously after the last entry.')
  }
}

/** Resolves once a condition is true. Fails after some seconds. */
export async function until(isTrue: () => boolean, expected: string): Promise<void> {
  for (const deadline = performance.now() + TIMEOUT; !isTrue(); await pause(1))
    if (performance.now() > deadline) fail(`Expected ${expected} within ${TIMEOUT} ms.`)
}

/** Returns the whole numbers from `from` up to, but not including, `to`. */
export function numbers(from: number, to: number): number[] {
  return Array.from({ length: to - from }, (_, i) => from + i)
}

function dataOf(entries: readonly LogEntry[]): unknown[] {
  return entries.map((entry) => entry.event.data)
}
