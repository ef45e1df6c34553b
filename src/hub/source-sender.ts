import type { Frame } from '../event/frame.ts'
import { closeSource, readSource, type Source, type StopCallbacks } from '../event/source.ts'
import type { SseStream } from '../stream/stream.ts'
import type { ReplayPace } from './replay-pace.ts'

/** Sends events of the application before those of the store, for example a snapshot. */
export class SourceSender {
  readonly #stream: SseStream
  readonly #pace: ReplayPace
  readonly #isNeeded: () => boolean
  readonly #stops: StopCallbacks = new Set()

  /** `isNeeded`: whether the client waits for the events. */
  constructor(stream: SseStream, pace: ReplayPace, isNeeded: () => boolean) {
    this.#stream = stream
    this.#pace = pace
    this.#isNeeded = isNeeded
  }

  /** Sends the events of a source at the client's pace. Resolves with false if it was stopped before the end. */
  async sendAll(source: Source): Promise<boolean> {
    if (!this.#isNeeded()) return closeSource(source)
    return readSource(source, this.#stops, (event) => {
      const frame = this.#stream._frameOf(event)
      if (this.#stream._hasRoomFor(frame)) return this.#send(frame)
      return this.#pace.untilIdle().then(() => this.#send(frame))
    })
  }

  /** Closes the source that is being sent. */
  stop(): void {
    for (const stop of this.#stops) stop()
  }

  #send(frame: Frame): boolean {
    const isNeeded = this.#isNeeded()
    if (isNeeded) this.#stream._connection.enqueue(frame)
    return isNeeded
  }
}
