import { replayChannel } from '../diagnostics.ts'
import { SseError } from '../errors.ts'
import type { AnyEvents, EventMap } from '../event/event.ts'
import {
  closeSource,
  type MaybePromise,
  readSource,
  type Source,
  type StopCallbacks,
} from '../event/source.ts'
import { eventFrame } from '../formats/event-stream.ts'
import { clock } from '../scheduler/clock.ts'
import { Backlog } from './backlog.ts'
import type { Connection } from './connection.ts'
import { type Gap, sendSnapshots } from './gap.ts'
import type { StreamSettings } from './options.ts'
import type { ResumePoint } from './resume-point.ts'
import type { SseStream } from './stream.ts'

/**
 * Yields the events strictly after `lastEventId`, or answers `'gap'` when it cannot be told which these are. Nothing
 * (undefined) means that the client missed none. `lastEventId` is a client's input: check it before use.
 */
export type Replay<Events extends EventMap = AnyEvents> = (
  lastEventId: string,
  stream: SseStream<Events>,
) => MaybePromise<Source<Events> | 'gap' | undefined>

/**
 * What a client missed, on its way. It goes first, at the pace of the client; what is sent live meanwhile waits behind
 * it. A long replay waits for room, and never trips the policy meant for live events.
 */
export class ReplayRun {
  /** What was sent live meanwhile. */
  behind: Backlog
  readonly #stream: SseStream
  readonly #connection: Connection
  readonly #settings: StreamSettings
  readonly #stops: StopCallbacks = new Set()
  #events = 0
  #isStopped = false

  constructor(stream: SseStream, connection: Connection, settings: StreamSettings) {
    this.#stream = stream
    this.#connection = connection
    this.#settings = settings
    this.behind = new Backlog(settings)
  }

  /** Resolves when all has left, with false when it was stopped before. Rejects when the source failed or was too long. */
  async run(position: ResumePoint): Promise<boolean> {
    const startedAt = clock.now
    let complete = false
    let error: unknown
    try {
      await this.#sendMissed(position)
      complete = (await this.#room()) && !this.#isStopped
    } catch (failure) {
      error = failure
      throw failure
    } finally {
      if (replayChannel.hasSubscribers) {
        const duration = clock.now - startedAt
        replayChannel.publish({ stream: this.#stream, events: this.#events, duration, complete, error })
      }
    }
    return complete
  }

  stop(): void {
    this.#isStopped = true
    this.behind = new Backlog(this.#settings)
    for (const stop of this.#stops) stop()
  }

  async #sendMissed(position: ResumePoint): Promise<void> {
    const { replay, maxReplayEvents, onGap, gapEvent } = this.#settings
    const id = typeof position === 'object' ? position.id : undefined
    const missed = id === undefined ? 'gap' : await replay?.(id, this.#stream)
    if (missed === undefined || (missed === 'gap' && this.#isStopped)) return
    if (missed !== 'gap') return void (await this.#sendAll(missed, maxReplayEvents))
    const gap: Gap = { lastEventId: id, reason: id === undefined ? 'unreadable' : 'unknown' }
    const hasSnapshot = await sendSnapshots(gap, this.#stream, [onGap], (snapshot) =>
      this.#sendAll(snapshot, Number.POSITIVE_INFINITY),
    )
    if (!hasSnapshot && gapEvent) await this.#sendAll([{ event: gapEvent, data: { reason: gap.reason } }], 1)
  }

  async #sendAll(source: unknown, limit: number): Promise<boolean> {
    // The client may have left while the application was asked.
    if (this.#isStopped) return closeSource(source)
    return readSource(source, this.#stops, async (event) => {
      if (this.#events === limit) throw tooLong(limit)
      const frame = eventFrame(event, this.#settings.serialize)
      if (!this.#connection.hasRoomFor(frame)) await this.#room()
      this.#events += 1
      this.#connection.enqueue(frame)
      return !this.#connection.isClosed
    })
  }

  async #room(): Promise<boolean> {
    await this.#connection.waitUntil(() => this.#connection.isIdle || this.#connection.isClosed)
    return !this.#connection.isClosed
  }
}

function tooLong(limit: number): SseError {
  const message = `More than ${limit} events to replay (maxReplayEvents); the client resumes after these.`
  return new SseError('ERR_SSE_REPLAY_LIMIT', message)
}
