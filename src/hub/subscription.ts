import { replayChannel } from '../diagnostics.ts'
import type { AnyEvents, EventMap } from '../event/event.ts'
import { closeSource, type Source } from '../event/source.ts'
import { clock } from '../scheduler/clock.ts'
import type { EventStore, Page } from '../stores/event-store.ts'
import type { LogEntry } from '../stores/log-entry.ts'
import { type Gap, type OnGap, sendSnapshots } from '../stream/gap.ts'
import type { ResumePoint } from '../stream/resume-point.ts'
import type { SseStream } from '../stream/stream.ts'
import type { Batch, Broadcaster, Subscriber } from './broadcaster.ts'
import { ask, type Filter } from './filter.ts'
import { firstAfter } from './first-after.ts'

export interface SubscribeOptions<Events extends EventMap = AnyEvents> {
  /** Called when events were lost for the client. What it returns is sent first, in place of the gap event. */
  onGap?: OnGap | undefined
  filter?: Filter<Events> | undefined
}

/** What a subscription needs of its hub. */
export interface SubscriptionOwner {
  /** @internal */
  readonly _store: EventStore
  /** @internal */
  readonly _gapEvent: string | false
  /** @internal */
  readonly _broadcaster: Broadcaster
  /** @internal Is told where another subscription of the stream goes on. */
  _ended(subscription: Subscription, goesOnFrom: ResumePoint): void
}

// So many entries are read from the log at a time.
const PAGE = 500

/**
 * One stream on the channels of one hub: a single place in the log for all of them. It reads the log from where the
 * client stopped, at the client's pace, and goes live in the step that finds nothing more to read.
 */
export class Subscription implements Subscriber {
  readonly stream: SseStream
  readonly #owner: SubscriptionOwner
  readonly #from: ResumePoint
  readonly #followed = new Map<string, SubscribeOptions>()
  // Up to where the client has been served, while it is not live.
  #place: string
  // Where it goes on after a gap that the client has not been told of yet.
  #jumpsTo: string | undefined
  // Channels that were added since the last page was asked for.
  #late: readonly string[] | undefined
  // Channels that were left by a client that had all of them: nobody misses anything when they are followed again.
  #left: Set<string> | undefined
  #state: 'new' | 'reading' | 'live' | 'ended' = 'new'
  #isCatchingUp = false
  // A stream that never had a filter is not asked for one.
  #hasFilter = false
  #replayed = 0

  constructor(stream: SseStream, owner: SubscriptionOwner, from: ResumePoint) {
    this.stream = stream
    this.#owner = owner
    this.#from = from
    this.#place = typeof from === 'object' ? from.id : owner._store.position
    this.#jumpsTo = from === 'unreadable' ? owner._store.position : undefined
    stream.on('close', this.end)
    queueMicrotask(() => this.#catchUp())
  }

  /** Follows more channels. Those of one turn are resumed together; a later one from now on, with a gap if need be. */
  add(channels: readonly string[], options: SubscribeOptions): void {
    const added = channels.filter((channel) => !this.#followed.has(channel))
    for (const channel of channels) this.#followed.set(channel, options)
    this.#hasFilter ||= options.filter !== undefined
    if (this.#state === 'new' || this.#state === 'ended' || added.length === 0) return
    const late = added.filter((channel) => !this.#left?.has(channel))
    for (const channel of added) this.#left?.delete(channel)
    this.#late = [...(this.#late ?? []), ...late]
    if (this.#state === 'live') this.#readAgain()
  }

  /** Leaves channels, as far as they are still followed as `options` said. */
  remove(channels: readonly string[], options: SubscribeOptions): void {
    for (const channel of channels) if (this.#followed.get(channel) === options) this.#leave(channel)
    if (this.#followed.size === 0) this.end()
  }

  readonly end = (): void => {
    if (this.#state === 'ended') return
    const goesOnFrom = this.#goesOnFrom
    this.#state = 'ended'
    this.stream.off('close', this.end)
    for (const channel of this.#followed.keys()) this.#owner._broadcaster.remove(channel, this)
    this.#owner._ended(this, goesOnFrom)
  }

  /** Events may be lost to it: it is told of a gap, and goes on from where the log does. */
  lose(): void {
    if (this.#state !== 'live') return
    this.#jumpsTo = this.#owner._store.position
    this.#readAgain()
  }

  deliver({ entries, frames }: Batch, isTurnOver: boolean): void {
    if (!this.#hasFilter) this.stream._deliver(frames, isTurnOver)
    else for (const entry of entries) if (this.#passes(entry)) this.stream._deliver([entry.frame], false)
  }

  get #goesOnFrom(): ResumePoint {
    if (this.#state === 'live') return 'new'
    const isUntold = this.#state === 'new' || (this.#from === 'unreadable' && this.#jumpsTo !== undefined)
    return isUntold ? this.#from : { id: this.#place }
  }

  // A stream that is closed takes nothing more, long before its last bytes have left.
  get #isReading(): boolean {
    return this.#state === 'reading' && !this.stream.closed
  }

  #leave(channel: string): void {
    // What is held back still comes, and is still filtered.
    this.#owner._broadcaster.remove(channel, this)
    this.#followed.delete(channel)
    if (this.#state !== 'live' || typeof this.#from !== 'object') return
    this.#left ??= new Set()
    this.#left.add(channel)
  }

  #readAgain(): void {
    for (const channel of this.#followed.keys()) this.#owner._broadcaster.remove(channel, this)
    this.#place = this.#owner._store.position
    this.#state = 'reading'
    // The loop that has just gone live may not have seen it yet: then it goes on.
    if (!this.#isCatchingUp) this.#catchUp()
  }

  async #catchUp(): Promise<void> {
    if (this.#state === 'ended') return
    const isResuming = this.#state === 'new' && this.#from !== 'new'
    const startedAt = clock.now
    let error: unknown
    this.#state = 'reading'
    this.#isCatchingUp = true
    try {
      if (this.#owner._store.ready) await this.#awaitLog()
      while (this.#isReading) await this.#step()
    } catch (failure) {
      error = failure
      this.#fail(failure)
    }
    this.#isCatchingUp = false
    if (isResuming) this.#report(startedAt, error)
  }

  // Before it is ready, a log has no place to begin at.
  async #awaitLog(): Promise<void> {
    await this.#owner._store.ready
    const { position: head } = this.#owner._store
    if (this.#from === 'new') this.#place = head
    if (this.#from === 'unreadable') this.#jumpsTo = head
  }

  #report(startedAt: number, error: unknown): void {
    if (!replayChannel.hasSubscribers) return
    const { stream } = this
    const complete = this.#state === 'live'
    replayChannel.publish({
      stream,
      events: this.#replayed,
      duration: clock.now - startedAt,
      complete,
      error,
    })
  }

  // What fails after it was left concerns nobody.
  #fail(error: unknown): void {
    if (this.#state !== 'ended') this.stream.destroy(error)
  }

  async #step(): Promise<void> {
    if (this.#late) await this.#checkLate(this.#late)
    if (!this.#isReading) return
    if (this.#jumpsTo !== undefined) return this.#tellGap(this.#jumpsTo)
    const answer = this.#owner._store.read([...this.#followed.keys()], this.#place, PAGE)
    // What is there at once is not waited for: nothing may come between an empty page and going live.
    const isLater = typeof (answer as PromiseLike<Page>).then === 'function'
    const page = isLater ? await answer : (answer as Page)
    // A page that lacks a channel is read again with it.
    if (!this.#isReading || this.#late) return
    // Behind its head, a log has nothing to read; one that is closed says so by a gap.
    if (page === 'gap' && !isLater && this.#place === this.#owner._store.position) this.#goLive()
    else if (page === 'gap') this.#jumpsTo = this.#owner._store.position
    else if (page.entries.length === 0 && !isLater) this.#goLive()
    else await this.#send(page)
  }

  // What was published on them between where the client stopped and the place is missed by a client that came back.
  async #checkLate(late: readonly string[]): Promise<void> {
    this.#late = undefined
    if (typeof this.#from !== 'object' || late.length === 0) return
    const missed = await firstAfter(this.#owner._store, this.#from.id, late)
    if (missed === undefined) return
    const ahead = await firstAfter(this.#owner._store, this.#place, late)
    const followed = late.filter((channel) => this.#followed.has(channel))
    // What only a channel lacks that was left meanwhile is missed by nobody.
    if (followed.length < late.length) this.#late = [...followed, ...(this.#late ?? [])]
    else if (ahead !== 'gap' && missed !== ahead) this.#jumpsTo = this.#place
  }

  #goLive(): void {
    this.#state = 'live'
    for (const channel of this.#followed.keys()) this.#owner._broadcaster.add(channel, this)
  }

  async #send({ entries, upTo }: Exclude<Page, 'gap'>): Promise<void> {
    for (const entry of entries) {
      if (!this.stream._hasRoomFor(entry.frame)) await this.stream.drained()
      if (!this.#isReading || this.#late) return
      this.#place = entry.id
      if (!this.#passes(entry)) continue
      this.stream._deliver([entry.frame], false)
      this.#replayed += 1
    }
    this.#place = upTo
  }

  async #tellGap(id: string): Promise<void> {
    const { stream } = this
    const { _gapEvent: gapEvent } = this.#owner
    const reason = this.#from === 'unreadable' ? 'unreadable' : 'unknown'
    const gap: Gap = { lastEventId: stream.lastEventId, reason }
    const hooks = new Set([...this.#followed.values()].map(({ onGap }) => onGap))
    // What is published while a snapshot is taken lies after the place to go on from: it follows the snapshot.
    const send = (snapshot: Source) => (this.#isReading ? stream.sendAll(snapshot) : closeSource(snapshot))
    const hasSnapshot = await sendSnapshots(gap, stream, hooks, send)
    // No policy drops it then.
    await stream.drained()
    if (!this.#isReading) return
    if (hasSnapshot) stream.send({ id })
    else if (gapEvent) stream.send({ event: gapEvent, id, data: { reason } })
    this.#place = id
    this.#jumpsTo = undefined
  }

  #passes(entry: LogEntry): boolean {
    const options = this.#followed.get(entry.channel)
    // It may have been left since the page was read.
    if (!options?.filter) return options !== undefined
    try {
      return ask(options.filter, entry.event, entry.channel)
    } catch (error) {
      // What a filter cannot tell, the client does not see. One client's failure does not stop a broadcast.
      this.stream.destroy(error)
      return false
    }
  }
}
