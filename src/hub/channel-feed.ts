import type { SseEvent } from '../event/event.ts'
import { type MaybePromise, readSource, type StopCallbacks } from '../event/source.ts'
import { outsideRequests } from '../scheduler/context.ts'
import { jitter } from '../scheduler/jitter.ts'
import { pause } from '../scheduler/pause.ts'

/** Runs work in one process of all. `Runs` is one. */
export interface SourceRunner {
  /**
   * @internal Runs work under a name, unless another process does. Its signal aborts `linger` ms after the last process has
   * aborted `signal`. Resolves when the work has ended in whichever process. Rejects when `signal` is aborted.
   */
  _runShared(
    name: string,
    work: (signal: AbortSignal) => Promise<void>,
    linger: number,
    signal: AbortSignal,
  ): Promise<void>
}

export interface ChannelFeedSettings {
  readonly open: (signal: AbortSignal) => unknown
  readonly linger: number
  readonly publish: (event: SseEvent) => MaybePromise<unknown>
  readonly onError: (error: unknown) => void
  /** The name under which processes share the source, and what runs it. Undefined: there is one process. */
  readonly shared?: { readonly name: string; readonly runner: SourceRunner } | undefined
}

// When a source that has ended is started again, in ms: after this time to twice this time, which doubles each time.
const RETRY = 500
const MAX_RETRY = 15_000

/** The source of a channel, which runs while the channel has subscribers. */
export class ChannelFeed {
  readonly #settings: ChannelFeedSettings
  #interest: AbortController | undefined
  #timer: ReturnType<typeof setTimeout> | undefined
  #running: Promise<void> | undefined

  constructor(settings: ChannelFeedSettings) {
    this.#settings = settings
  }

  /** Starts the source, or keeps one that lingers. */
  start(): void {
    clearTimeout(this.#timer)
    if (this.#interest) return
    const interest = new AbortController()
    this.#interest = interest
    // A source that was stopped is closed before the next one starts.
    const previous = this.#running
    this.#running = outsideRequests(() => this.#run(interest.signal, previous))
  }

  /** Stops the source after `linger`, or lets other processes keep it. */
  stop(): void {
    if (this.#settings.shared) this.#abort()
    else this.#timer = outsideRequests(setTimeout, () => this.#abort(), this.#settings.linger)
    this.#timer?.unref?.()
  }

  /** Stops the source at once. Resolves when it is closed. */
  async close(): Promise<void> {
    clearTimeout(this.#timer)
    this.#abort()
    await this.#running
  }

  #abort(): void {
    this.#interest?.abort()
    this.#interest = undefined
  }

  async #run(signal: AbortSignal, previous: Promise<void> | undefined): Promise<void> {
    await previous
    for (let retry = RETRY; !signal.aborted; retry = Math.min(2 * retry, MAX_RETRY)) {
      const startedAt = performance.now()
      try {
        await this.#runOnce(signal)
      } catch (error) {
        if (!signal.aborted) this.#settings.onError(error)
      }
      if (performance.now() - startedAt > MAX_RETRY) retry = RETRY
      await pause(jitter(retry), signal, { keepsAlive: false }).catch(() => {})
    }
  }

  #runOnce(signal: AbortSignal): Promise<void> {
    const { shared, linger } = this.#settings
    const read = (sourceSignal: AbortSignal) => this.#read(sourceSignal)
    return shared ? shared.runner._runShared(shared.name, read, linger, signal) : read(signal)
  }

  /** Publishes what the source yields, until its end or until the signal aborts. */
  async #read(signal: AbortSignal): Promise<void> {
    const { open, publish } = this.#settings
    const stops: StopCallbacks = new Set()
    const stop = () => {
      for (const each of stops) each()
    }
    signal.addEventListener('abort', stop)
    try {
      const source = await open(signal)
      if (signal.aborted) queueMicrotask(stop)
      await readSource(source, stops, async (event) => {
        await publish(event)
        return !signal.aborted
      })
    } finally {
      signal.removeEventListener('abort', stop)
    }
  }
}
