import { describe, SseError } from '../errors.ts'
import type { AnyEvents, EventMap, SseEvent } from '../event/event.ts'
import {
  closeSource,
  type MaybePromise,
  readSource,
  type Source,
  type StopCallbacks,
} from '../event/source.ts'
import { clock } from '../scheduler/clock.ts'
import { isFirst } from '../warn.ts'
import type { Connection } from './connection.ts'
import { replayChannel } from './diagnostics.ts'
import { type Gap, reportGap } from './gap.ts'
import type { StreamSettings } from './options.ts'
import { inOnePage } from './poll-end.ts'
import type { SseStream } from './stream.ts'

/**
 * Returns the events strictly after `lastEventId`, `'gap'` if that is impossible, or undefined if the client has missed
 * nothing. `lastEventId` is untrusted input, which the function MUST check before use.
 */
export type Replay<Events extends EventMap = AnyEvents> = (
  lastEventId: string,
  stream: SseStream<Events>,
) => MaybePromise<Source<Events> | 'gap' | undefined>

/**
 * Sends the events that a client has missed, at the client's pace and before all live events. A long replay waits for
 * room, and never triggers the overflow policy.
 */
export class Replayer {
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
  }

  /**
   * Sends the events that the client has missed, before the frames that are sent meanwhile, and delays the end of the
   * stream until `release`. Resolves with an error if the source fails or yields more than `maxReplayEvents`. Never
   * rejects.
   */
  async run(): Promise<unknown> {
    const startedAt = clock.now
    let error: unknown
    this.#connection.holds += 1
    this.#connection.beginReplay()
    try {
      await this.#sendMissed()
      await this.#waitForRoom()
    } catch (failure) {
      error = failure || new Error(`The replay failed with ${describe(failure)}.`)
      this.#print(error)
    }
    const complete = error === undefined && !this.#isStopped
    if (replayChannel.hasSubscribers) {
      const duration = clock.now - startedAt
      const counts = { events: this.#events, duration, resumed: true, complete }
      replayChannel.publish({ stream: this.#stream, ...counts, error })
    }
    if (complete) this.#connection.endReplay()
    return error
  }

  stop(): void {
    this.#isStopped = true
    for (const stop of this.#stops) stop()
  }

  // Prints the first error of a process that no listener receives. After a limit, the client resumes. An error after
  // the end of the stream may be its consequence.
  #print(error: unknown): void {
    const stream = this.#stream
    const isLimit = (error as Partial<SseError>).code === 'ERR_SSE_REPLAY_LIMIT'
    if (isLimit || this.#isStopped || (stream.closed && stream._hasSignal)) return
    if (stream.listenerCount('close') > 0 || !isFirst('replay')) return
    const hint = "Further such errors are not printed: use stream.on('close', listener)."
    console.error(`The option replay or onGap of a stream failed. ${hint}`, error)
  }

  async #sendMissed(): Promise<void> {
    const { replay, maxReplayEvents, onGap, gapEvent } = this.#settings
    const { lastEventId } = this.#stream
    const missed = lastEventId === undefined ? 'gap' : await replay?.(lastEventId, this.#stream)
    if (!missed || (missed === 'gap' && this.#isStopped)) return
    if (missed !== 'gap') return void (await this.#sendAll(missed, maxReplayEvents))
    const gap: Gap = { lastEventId, reason: lastEventId === undefined ? 'unreadable' : 'unknown' }
    const sendAll = (snapshot: Source) => this.#sendAll(snapshot)
    const send = (event: SseEvent) => this.#sendAll([event])
    const report = reportGap(this.#stream, gap, { hooks: [onGap], gapEvent, sendAll, send })
    await inOnePage(this.#stream, report)
  }

  async #sendAll(source: unknown, limit?: number): Promise<boolean> {
    // The client may have disconnected while `replay` or `onGap` was pending.
    if (this.#isStopped) return closeSource(source)
    return readSource(source, this.#stops, async (event) => {
      if (this.#events === limit) {
        const message = `The replay exceeds maxReplayEvents (${limit}). The client resumes after these.`
        throw new SseError('ERR_SSE_REPLAY_LIMIT', message)
      }
      const frame = this.#stream._frameOf(event)
      if (!this.#connection.hasRoomFor(frame)) await this.#waitForRoom()
      if (this.#isStopped) return false
      this.#events += 1
      this.#connection.enqueueNext(frame)
      return true
    })
  }

  #waitForRoom(): Promise<void> {
    return this.#connection.waitUntil(() => this.#connection.isIdle || this.#isStopped)
  }
}
