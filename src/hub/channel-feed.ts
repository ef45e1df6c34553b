import type { SseEvent } from '../event/event.ts'
import { closeQuietly, type MaybePromise, openSource, readItems, type SourceReader } from '../event/source.ts'
import { outsideRequests } from '../scheduler/context.ts'
import { jitter } from '../scheduler/jitter.ts'
import { pause } from '../scheduler/pause.ts'
import { settledWithin } from '../scheduler/settled-within.ts'
import { turnAfterSlice } from '../scheduler/turn-after-slice.ts'

/** Runs work in only one of all processes. `Runs` implements it. */
export interface SourceRunner {
  /** @internal Whether several processes share it. */
  readonly _isShared: boolean
  /**
   * @internal Runs work under a name, unless another process does. Its signal aborts `linger` ms after the last process
   * has aborted `signal`. Resolves when the work has ended in whichever process. Rejects when `signal` is aborted.
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
  /** The name under which processes share the source, and its runner. Undefined if there is one process. */
  readonly shared?: { readonly name: string; readonly runner: SourceRunner } | undefined
}

// The delay until a source that has ended is started again, in ms. It doubles each time, and each delay is jittered.
const RETRY = 500
const MAX_RETRY = 15_000

// How long a source may take to close, in ms, because it may never close.
const CLOSE_TIMEOUT = 5_000

/** The source of a channel, which runs while the channel has subscribers. */
export class ChannelFeed {
  readonly #settings: ChannelFeedSettings
  readonly #onEnded: () => void
  #interest: AbortController | undefined
  #timer: ReturnType<typeof setTimeout> | undefined
  #running: Promise<void> | undefined

  /** `onEnded` is called when the source is closed after a stop, unless it was started again. */
  constructor(settings: ChannelFeedSettings, onEnded: () => void) {
    this.#settings = settings
    this.#onEnded = onEnded
  }

  /** Starts the source, or keeps one that lingers. */
  start(): void {
    clearTimeout(this.#timer)
    if (this.#interest) return
    const interest = new AbortController()
    this.#interest = interest
    // A source that was stopped is closed before the next one starts.
    const previous = this.#running
    const running = outsideRequests(() => this.#run(interest.signal, previous))
    this.#running = running
    void running.then(() => {
      if (this.#running === running) this.#onEnded()
    })
  }

  /** Stops the source after `linger`. A shared source stops `linger` ms after the last process has stopped it. */
  stop(): void {
    if (this.#settings.shared) this.#abort()
    else this.#timer = outsideRequests(setTimeout, () => this.#abort(), this.#settings.linger)
    this.#timer?.unref?.()
  }

  /** Stops the source at once. Resolves when it is closed, at the latest after 5 s. */
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
    // Its error is caught here, because the runs would report it as that of a run.
    const read = (sourceSignal: AbortSignal) =>
      this.#read(sourceSignal).catch((error) => {
        if (!sourceSignal.aborted) this.#settings.onError(error)
      })
    return shared ? shared.runner._runShared(shared.name, read, linger, signal) : read(signal)
  }

  /** Publishes the events of the source, until its end or until the signal aborts. Then closes the source. */
  async #read(signal: AbortSignal): Promise<void> {
    let stop = () => {}
    const stopped = new Promise<undefined>((resolve) => {
      stop = () => resolve(undefined)
    })
    signal.addEventListener('abort', stop)
    if (signal.aborted) stop()
    try {
      const reader = await this.#open(signal, stopped)
      if (reader) await this.#publishAll(reader, signal, stopped)
    } finally {
      signal.removeEventListener('abort', stop)
    }
  }

  /** Opens the source. Resolves with undefined if it was stopped before. */
  async #open(signal: AbortSignal, stopped: Promise<undefined>): Promise<SourceReader | undefined> {
    const open = async () => openSource(await this.#settings.open(signal))
    const opening = open()
    const reader = await Promise.race([stopped, opening])
    // A source that arrives after the stop is closed unread.
    if (!reader) opening.then(closeQuietly, () => {})
    return reader
  }

  async #publishAll(reader: SourceReader, signal: AbortSignal, stopped: Promise<undefined>): Promise<void> {
    const publish = async (event: SseEvent) => {
      await this.#settings.publish(event)
      const turn = turnAfterSlice()
      if (turn) await turn
      return !signal.aborted
    }
    let isComplete: boolean | undefined
    try {
      isComplete = await Promise.race([stopped, readItems(reader, publish)])
    } finally {
      if (!isComplete) await settledWithin(CLOSE_TIMEOUT, closeQuietly(reader))
    }
  }
}
