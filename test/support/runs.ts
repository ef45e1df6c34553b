import { onTestFinished, vi } from 'vitest'
import type { RunsOptions } from '../../src/runs/run-options.ts'
import { Runs } from '../../src/runs/runs.ts'
import { MemoryRuns, RunMemory } from '../../src/stores/memory/memory-runs.ts'
import type { CloseReason } from '../../src/stream/close-reason.ts'
import type { SseStream } from '../../src/stream/stream.ts'
import type { FakeTransport } from './fake-transport.ts'
import { parseEvents } from './parse.ts'
import { nextTurn, settled } from './streams.ts'

/** Returns `Runs` that are shut down after the test. Its errors are collected. */
export function openRuns(options: RunsOptions = {}) {
  const runs = new Runs(options)
  const errors: unknown[] = []
  runs.on('error', (error) => errors.push(error))
  onTestFinished(() => runs.shutdown({ grace: 0, retry: 0 }))
  return Object.assign(runs, { errors })
}

/** Returns an event of a run. */
export const text = (data: string) => ({ event: 'text', data })

/** Returns the `Runs` of two processes on one store in memory. */
export function openTwoRuns(options: RunsOptions = {}) {
  const memory = new RunMemory()
  const open = () => openRuns({ ...options, store: new MemoryRuns(memory) })
  return { first: open(), second: open(), memory }
}

/** A source that yields events without a pause, until the signal aborts or 10 s have passed. */
export class RestlessSource {
  /** Whether the time has passed, because the source blocked the process. */
  isOver = false

  async *read(signal: AbortSignal): AsyncGenerator<{ data: string }, void> {
    const end = performance.now() + 10_000
    while (!signal.aborted && !this.isOver) {
      yield { data: 'x' }
      this.isOver = performance.now() > end
    }
  }
}

/** A source whose items a test pushes. */
export class PushSource {
  isClosed = false
  #items: unknown[] = []
  #isEnded = false
  #error: unknown
  #notify = () => {}

  push(...items: unknown[]): void {
    this.#items.push(...items)
    this.#notify()
  }

  end(): void {
    this.#isEnded = true
    this.#notify()
  }

  fail(error: unknown): void {
    this.#error = error
    this.#notify()
  }

  /** Yields the pushed items, until the end or until the signal aborts. */
  async *read(signal: AbortSignal): AsyncGenerator<never, void> {
    signal.addEventListener('abort', () => this.#notify())
    try {
      while (!signal.aborted) {
        if (this.#error) throw this.#error
        if (this.#items.length > 0) yield this.#items.shift() as never
        else if (this.#isEnded) return
        else
          await new Promise<void>((resolve) => {
            this.#notify = resolve
          })
      }
    } finally {
      this.isClosed = true
    }
  }
}

/** Returns a source that yields nothing until its signal is aborted, as a spy. */
export const endlessSource = () => vi.fn((signal: AbortSignal) => new PushSource().read(signal))

/** Returns the events written to a transport, for example `text a` and `end {"reason":"done"}`. */
export function runEventsOf({ all }: Pick<FakeTransport, 'all'>): string[] {
  return parseEvents(all.join('')).map(({ event = 'message', data }) => `${event} ${data}`)
}

/** Returns the ids of the events written to a transport. */
export function idsOf({ all }: Pick<FakeTransport, 'all'>): string[] {
  return parseEvents(all.join('')).map(({ id }) => id ?? '')
}

/** Resolves when a stream is closed and everything queued was written. */
export async function closed(stream: SseStream): Promise<CloseReason | undefined> {
  while (!stream.closed || stream.bufferedEvents > 0) await nextTurn()
  await settled()
  return stream.closeReason
}
