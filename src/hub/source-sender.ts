import type { Frame } from '../event/frame.ts'
import {
  closeSource,
  type MaybePromise,
  readSource,
  type Source,
  type StopCallbacks,
} from '../event/source.ts'
import type { ReplayPace } from './replay-pace.ts'
import type { ReplayedClient } from './replayed-client.ts'

/** Sends events of the application before events of the store, for example a snapshot. */
export class SourceSender {
  readonly #client: ReplayedClient
  readonly #pace: ReplayPace
  // Created for the first source, because most clients have none.
  #stops: StopCallbacks | undefined

  constructor(client: ReplayedClient, pace: ReplayPace) {
    this.#client = client
    this.#pace = pace
  }

  /** Sends the events of a source at the client's pace. Resolves with false if it was stopped before the end. */
  async sendAll(source: Source): Promise<boolean> {
    if (!this.#client.isActive) return closeSource(source)
    const { stream } = this.#client
    this.#stops ??= new Set()
    return readSource(source, this.#stops, (event) => this.#send(stream._frameOf(event)))
  }

  /** Closes the source that is being sent. */
  stop(): void {
    for (const stop of this.#stops ?? []) stop()
  }

  /** Sends an event once there is room. Returns whether the source should be read further. */
  #send(frame: Frame): MaybePromise<boolean> {
    const { isActive, stream } = this.#client
    // Checked again after each wait, because another source of the stream may have taken the room.
    if (isActive && !stream._hasRoomFor(frame))
      return this.#pace.untilIdleHolding(frame.size).then(() => this.#send(frame))
    if (isActive) stream._connection.enqueue(frame)
    return isActive
  }
}
