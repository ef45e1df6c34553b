import { gapChannel } from './diagnostics.ts'
import { describe, SseError } from './errors.ts'
import type { SseEvent } from './event.ts'
import type { EventLog, LogEntry } from './logs/event-log.ts'
import type { Position } from './negotiate.ts'
import type { Gap, OnGap } from './replay.ts'
import type { SseStream } from './stream.ts'

/** Whether a client may see an event. Runs on what is replayed as on what is live; what throws ends the stream. */
export type Filter = (event: SseEvent, channel: string) => boolean

export interface SubscribeOptions {
  /** Called when events were lost for the client. What it returns is sent first, in place of the gap event. */
  onGap?: OnGap | undefined
  filter?: Filter | undefined
}

/** What a subscription needs of its hub. */
export interface SubscriptionOwner {
  readonly _log: EventLog
  readonly _gapEvent: string | false
  /** Has live entries of a channel delivered. */
  _attach(channel: string, subscription: Subscription): void
  _detach(channel: string, subscription: Subscription): void
  _ended(subscription: Subscription): void
}

// So many entries are read from the log at a time.
const PAGE = 500

/**
 * One stream on the channels of one hub: a single place in the log for all of them. It reads the log from where the
 * client stopped, at the client's pace, and goes live in the step that finds nothing more to read.
 */
export class Subscription {
  readonly stream: SseStream
  readonly #owner: SubscriptionOwner
  readonly #position: Position
  readonly #filters = new Map<string, Filter | undefined>()
  #onGaps: OnGap[] | undefined
  // Up to where the client has been served, while it is not live.
  #place: string
  // Where it goes on after a gap that the client has not been told of yet.
  #jumpsTo: string | undefined
  #late: readonly string[] | undefined
  #state: 'new' | 'reading' | 'live' | 'ended' = 'new'

  constructor(stream: SseStream, owner: SubscriptionOwner, position: Position) {
    this.stream = stream
    this.#owner = owner
    this.#position = position
    this.#place = typeof position === 'object' ? position.id : owner._log.head
    this.#jumpsTo = position === 'unreadable' ? owner._log.head : undefined
    stream.on('close', () => this.end())
    queueMicrotask(() => this.#catchUp())
  }

  /** Follows more channels. Those of one turn are resumed together; a later one from now on, with a gap if need be. */
  add(channels: readonly string[], { filter, onGap }: SubscribeOptions): void {
    const added = channels.filter((channel) => !this.#filters.has(channel))
    for (const channel of channels) this.#filters.set(channel, filter)
    if (onGap) this.#onGaps = [...(this.#onGaps ?? []), onGap]
    if (this.#state === 'new' || this.#state === 'ended' || added.length === 0) return
    this.#late = [...(this.#late ?? []), ...added]
    if (this.#state === 'live') this.#readAgain()
  }

  remove(channels: readonly string[]): void {
    for (const channel of channels) {
      this.#filters.delete(channel)
      this.#owner._detach(channel, this)
    }
    if (this.#filters.size === 0) this.end()
  }

  end(): void {
    if (this.#state === 'ended') return
    this.#state = 'ended'
    for (const channel of this.#filters.keys()) this.#owner._detach(channel, this)
    this.#owner._ended(this)
  }

  /** Takes a live entry. */
  deliver(entry: LogEntry): void {
    if (this.#passes(entry)) this.stream._deliver(entry.frame)
  }

  #readAgain(): void {
    for (const channel of this.#filters.keys()) this.#owner._detach(channel, this)
    this.#place = this.#owner._log.head
    this.#catchUp()
  }

  async #catchUp(): Promise<void> {
    if (this.#state === 'ended') return
    this.#state = 'reading'
    try {
      while (this.#isReading()) await this.#step()
    } catch (error) {
      this.stream.destroy(error)
    }
  }

  async #step(): Promise<void> {
    if (this.#late) await this.#checkLate()
    if (this.#jumpsTo !== undefined) return this.#tellGap(this.#jumpsTo)
    const answer = this.#owner._log.read([...this.#filters.keys()], this.#place, PAGE)
    const page = answer instanceof Promise ? await answer : answer
    if (!this.#isReading()) return
    if (page === 'gap') this.#jumpsTo = this.#owner._log.head
    else if (page.length === 0) this.#goLive()
    else await this.#send(page)
  }

  #isReading(): boolean {
    return this.#state === 'reading' && !this.stream.closed
  }

  // What was published on them before they were followed is missed by a client that came back.
  async #checkLate(): Promise<void> {
    const late = this.#late ?? []
    this.#late = undefined
    if (typeof this.#position !== 'object') return
    const missed = await this.#owner._log.read(late, this.#position.id, 1)
    if (missed === 'gap' || missed.length > 0) this.#jumpsTo = this.#place
  }

  #goLive(): void {
    this.#state = 'live'
    for (const channel of this.#filters.keys()) this.#owner._attach(channel, this)
  }

  async #send(page: readonly LogEntry[]): Promise<void> {
    for (const entry of page) {
      this.#place = entry.id
      if (this.#passes(entry) && !this.stream._deliverPaced(entry.frame)) await this.stream.drained()
      if (!this.#isReading()) return
    }
  }

  async #tellGap(id: string): Promise<void> {
    const { stream } = this
    const { _gapEvent: gapEvent } = this.#owner
    const gap: Gap = {
      lastEventId: stream.lastEventId,
      reason: this.#position === 'unreadable' ? 'unreadable' : 'unknown',
    }
    if (gapChannel.hasSubscribers) gapChannel.publish({ stream, gap })
    // What is published while a snapshot is taken lies after the place to go on from: it follows the snapshot.
    if (await this.#sendSnapshots(gap)) stream.send({ id })
    else if (gapEvent) stream.send({ event: gapEvent, id, data: { reason: gap.reason } })
    this.#place = id
    this.#jumpsTo = undefined
  }

  async #sendSnapshots(gap: Gap): Promise<boolean> {
    let hasSnapshot = false
    for (const onGap of this.#onGaps ?? []) {
      const snapshot = await onGap(gap, this.stream)
      if (!snapshot) continue
      await this.stream.sendAll(snapshot)
      hasSnapshot = true
    }
    return hasSnapshot
  }

  #passes({ event, channel }: LogEntry): boolean {
    const filter = this.#filters.get(channel)
    if (!filter) return true
    try {
      const answer = filter(event, channel)
      if (typeof answer === 'boolean') return answer
      // A promise would count as yes.
      throw new SseError(
        'ERR_SSE_OPTION',
        `A filter answers true or false, at once, not ${describe(answer)}.`,
      )
    } catch (error) {
      // What a filter cannot tell, the client does not see. One client's failure does not stop a broadcast.
      this.stream.destroy(error)
      return false
    }
  }
}
