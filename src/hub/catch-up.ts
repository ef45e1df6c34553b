import { isPromise, type MaybePromise } from '../event/source.ts'
import { clock } from '../scheduler/clock.ts'
import { turn } from '../scheduler/turn.ts'
import type { EventStore, Page } from '../stores/event-store.ts'
import type { LogEntry } from '../stores/log-entry.ts'
import { replayChannel } from '../stream/diagnostics.ts'
import { type Gap, reportGap } from '../stream/gap.ts'
import { inOnePage } from '../stream/poll-end.ts'
import type { ResumePoint } from '../stream/resume-point.ts'
import type { CatchUpOwner } from './catch-up-owner.ts'
import { endStream } from './end-stream.ts'
import { hooksOf } from './gap-hooks.ts'
import { HistoryStart, type Stage } from './history.ts'
import { PendingSnapshots } from './pending-snapshots.ts'
import { HIDDEN_COST, pageCost, ReplayPace } from './replay-pace.ts'
import { ReplayReads } from './replay-reads.ts'
import type { ReplayedClient } from './replayed-client.ts'
import { SourceSender } from './source-sender.ts'
import type { OwnOptions } from './subscribe-options.ts'

// The most entries that are read from the store at a time.
const PAGE_SIZE = 500

/**
 * Reads the store from where the client stopped, at the client's pace. It holds only a position: what the queue of the
 * client has no room for is read again later. The subscription goes live in the step that finds nothing more to read.
 */
export class CatchUp implements ReplayedClient {
  readonly stream: CatchUpOwner['stream']
  readonly #owner: CatchUpOwner
  readonly #store: EventStore
  readonly #gapEvent: string | false
  readonly #reads: ReplayReads
  readonly #pace = new ReplayPace(this)
  readonly #sender = new SourceSender(this, this.#pace)
  // Taken at the start, because the store may become ready before `run`. Undefined once it is ready.
  #ready: Promise<void> | undefined
  // Up to where the client has received everything.
  #position: string
  // Where the client continues after a gap that was not reported to it yet.
  #gapEnd: string | undefined
  #isEvicted = false
  // Where the channels of a client without a position start.
  #start: HistoryStart | undefined
  // Channels added since the last page was requested, and whether the client may have missed something of them.
  #addedChannels: Map<string, boolean> | undefined
  #snapshots: PendingSnapshots | undefined
  // Whether all channels are read, and not only those of which an entry was published.
  #readsAll = false
  #isComplete = false
  #replayed = 0
  // What the entries count that were hidden since an event or a position was sent.
  #hiddenCost = 0
  // How many entries the next page has at most. Fewer for a store that returns more than the client has room for.
  #pageSize = PAGE_SIZE

  constructor(owner: CatchUpOwner, store: EventStore, gapEvent: string | false, position = store.position) {
    this.stream = owner.stream
    this.#owner = owner
    this.#store = store
    this.#gapEvent = gapEvent
    this.#position = position
    this.#ready = store.ready
    this.#reads = new ReplayReads(this, store)
  }

  /** Whether the client still waits for what it missed. */
  get isActive(): boolean {
    return this.#owner.isCatchingUp(this) && this.stream._connection.isOpen
  }

  /** Where another subscription of the stream would resume. */
  get resumePoint(): ResumePoint {
    const { resumePoint } = this.#owner
    // A store that is not ready has no position. A client that still has to get a snapshot or its history is as new as before.
    if (this.#ready || (resumePoint === 'new' && (this.#snapshots || this.#start))) return resumePoint
    if (this.#gapEnd === undefined) return { id: this.#position }
    return resumePoint === 'unreadable' ? resumePoint : { id: this.#position, gapEnd: this.#gapEnd }
  }

  /** Reports a gap up to a position first. Default: the store's present position. */
  reportGap(end = this.#store.position): void {
    this.#gapEnd = end
  }

  /** Reads all channels, because entries may be lost of which the subscription was not notified. */
  readAll(): void {
    this.#readsAll = true
  }

  /** Adds channels after the start. Checks whether the client has missed anything of those that are `missable`. */
  addChannels(channels: readonly string[], missable: readonly string[]): void {
    if (channels.length > 0) this.#addedChannels ??= new Map()
    for (const channel of channels)
      this.#addedChannels?.set(channel, this.#addedChannels.get(channel) ?? false)
    for (const channel of missable) this.#addedChannels?.set(channel, true)
  }

  /** Removes a channel, of which the client then misses nothing. */
  removeChannel(channel: string): void {
    this.#addedChannels?.delete(channel)
  }

  /** Sends the snapshot of a subscription, if it has one, before everything that was not sent yet. */
  addSnapshot(options: OwnOptions): void {
    if (!options.snapshot) return
    this.#snapshots ??= new PendingSnapshots()
    this.#snapshots.add(options.snapshot, options)
  }

  /** Catches up. `isResuming`: the client has reconnected, so that a replay without events is reported too. */
  async run(isResuming: boolean): Promise<void> {
    const startedAt = clock.now
    let error: unknown
    try {
      if (this.#ready) await this.#awaitStore()
      if (this.isActive && typeof this.#owner.resumePoint !== 'object')
        await this.#seek(this.#gapEnd ?? this.#position)
      while (this.isActive) await this.#step()
    } catch (failure) {
      // After the end of the subscription, a failure has no effect.
      if (this.isActive) {
        error = failure
        endStream(this.stream, failure)
      }
    }
    this.#pace.cancel()
    if (!replayChannel.hasSubscribers || !(isResuming || this.#replayed > 0)) return
    const result = { duration: clock.now - startedAt, complete: this.#isComplete, error }
    replayChannel.publish({ stream: this.stream, events: this.#replayed, resumed: isResuming, ...result })
  }

  /** Stops the read that is pending and the snapshot that is being sent, because the subscription has ended. */
  stop(): void {
    this.#sender.stop()
    this.#reads.stop()
    this.#pace.cancel()
    this.stream._connection.notify()
  }

  async #awaitStore(): Promise<void> {
    await this.#ready
    this.#ready = undefined
    if (this.#owner.resumePoint === 'new') this.#position = this.#store.position
    if (this.#owner.resumePoint === 'unreadable') this.reportGap()
  }

  /** Moves to where the channels start for a client without a position, or to there after a gap. */
  async #seek(present: string): Promise<void> {
    const { history } = this.#owner
    if (!history?.size) {
      // The channels with a history may have been removed. Those added since start at the present.
      this.#start = undefined
      return
    }
    const start = new HistoryStart(this.#store, this.#reads, present, this.#owner)
    for (const request of history.values()) await start.add(request)
    this.#start = start
    this.#isEvicted = this.#gapEnd === undefined && start.isIncomplete
    if (this.#gapEnd === undefined) this.#position = start.position
    if (this.#gapEnd !== undefined || start.isIncomplete) this.reportGap(start.position)
  }

  // Not asynchronous, because each promise of thousands of waiting replays occupies memory.
  #step(): MaybePromise<void> {
    if (this.#gapEnd !== undefined || this.#isChanged) return this.#prepare()
    const channels = this.#readsAll ? this.#owner.channels : this.#owner._channelsToRead()
    if (!this.isActive || this.#isChanged) return
    if (channels.length === 0) return this.#goLive()
    // No page is held while the client has no room. At the store's position there is nothing to wait for.
    if (this.#position !== this.#store.position && !this.#pace.begin()) return this.#pace.untilReadable()
    return this.#readPage(channels)
  }

  /** Sends what comes before the next page. */
  #prepare(): MaybePromise<void> {
    // Other replays do not wait while the application loads a snapshot.
    this.#pace.cancel()
    if (this.#addedChannels) return this.#checkAddedChannels(this.#addedChannels)
    if (this.#gapEnd !== undefined) return inOnePage(this.stream, this.#sendGap(this.#gapEnd))
    if (this.#snapshots) return inOnePage(this.stream, this.#sendSnapshots(this.#snapshots))
  }

  #readPage(channels: readonly string[]): MaybePromise<void> {
    const stage = this.#start?.stageAt(this.#position, channels) ?? { channels, end: undefined }
    this.#reads.room = this.#pace.room
    const page = this.#reads.read(stage.channels, this.#position, this.#pageSize)
    if (isPromise(page)) return this.#awaitPage(page, channels, stage)
    if (!this.isActive || this.#addedChannels) return
    // In the same tick as the read, so that no entry can be published in between.
    if (stage.end === undefined && this.#isEnd(page)) this.#goLive()
    else return this.#sendPage(page, stage)
  }

  async #awaitPage(pending: Promise<Page>, channels: readonly string[], stage: Stage): Promise<void> {
    const isAll = this.#readsAll
    const page = await this.#pace.inTurn(pending)
    // A page that lacks a channel is read again with it.
    if ((!isAll && this.#lacksChannel(channels)) || !this.isActive || this.#addedChannels) return
    await this.#sendPage(page, stage)
  }

  get #isChanged(): boolean {
    return this.#addedChannels !== undefined || this.#snapshots !== undefined
  }

  // While a page was read, entries of further channels may have been published, after which it ends.
  #lacksChannel(channels: readonly string[]): boolean {
    const present = new Set(channels)
    this.#readsAll ||= this.#owner._channelsToRead().some((channel) => !present.has(channel))
    return this.#readsAll
  }

  // At its own position a store has nothing to read. A closed one returns a gap there.
  #isEnd(page: Page): boolean {
    return page === 'gap' ? this.#position === this.#store.position : page.entries.length === 0
  }

  #goLive(): void {
    const { position } = this.#store
    // Pending entries first, because their filters may change the subscription, or publish if they are of another hub.
    turn.fanOutNow()
    if (!this.isActive || this.#isChanged || position !== this.#store.position) return
    this.#isComplete = true
    this.#owner._goLive()
  }

  // After a gap, a client starts where a new one does.
  async #restart(): Promise<void> {
    this.#pace.cancel()
    this.reportGap()
    await this.#seek(this.#store.position)
  }

  // A resumed client that adds channels later has missed what was published on them since its last event id. If there was
  // anything, report a gap.
  async #checkAddedChannels(all: ReadonlyMap<string, boolean>): Promise<void> {
    const { resumePoint } = this.#owner
    const added = [...all].flatMap(([channel, isMissable]) => (isMissable ? channel : []))
    this.#addedChannels = undefined
    if (typeof resumePoint !== 'object' || added.length === 0) return
    const missed = await this.#reads.hasBetween(resumePoint.id, this.#position, added)
    const subscribed = added.filter((channel) => this.#owner.isSubscribed(channel))
    // The client misses nothing of a channel that was removed meanwhile.
    if (missed && subscribed.length < added.length) this.addChannels(subscribed, subscribed)
    else if (missed === 'gap') await this.#restart()
    else if (missed) this.#gapEnd = this.#position
  }

  #sendPage(page: Page, stage: Stage): MaybePromise<void> {
    if (page === 'gap') return this.#start?.narrow() ? undefined : this.#restart()
    const { entries, upTo } = this.#start?.within(page, stage) ?? page
    const used = this.#sendEntries(entries, pageCost(stage.channels))
    const isAll = used === entries.length
    this.#pageSize = isAll ? Math.min(PAGE_SIZE, 2 * this.#pageSize) : Math.max(1, used)
    if (!this.isActive || this.#addedChannels) return
    if (!isAll) return this.#pace.untilIdle()
    this.#position = upTo
    if (this.#start?.passTo(upTo)) return
    if (this.#hiddenCost >= PAGE_SIZE * HIDDEN_COST || entries.length === 0) this.#offerPosition(upTo)
  }

  // So that a client that is cut off during a long replay of hidden events does not start again from the beginning.
  #offerPosition(id: string): void {
    this.#hiddenCost = 0
    if (id !== this.#store.position) this.#owner._offerPosition(id)
  }

  /** Sends entries while there is room for them, and ends the turn. Returns how many were used. */
  #sendEntries(entries: readonly LogEntry[], costOfPage: number): number {
    let [used, cost] = [0, costOfPage]
    for (const entry of entries) {
      this.#owner._adopt(entry)
      if (!this.isActive || this.#addedChannels || !this.#pace.hasRoomFor(entry)) break
      this.#start?.passBefore(entry.id)
      used += 1
      this.#position = entry.id
      cost += this.#owner.passes(entry) ? this.#sendEntry(entry) : this.#hide(entry)
    }
    this.#pace.end(cost)
    return used
  }

  /** Returns what sending an entry counts for the turn. */
  #sendEntry(entry: LogEntry): number {
    this.stream._connection.enqueue(entry.frameIn(this.stream._format))
    this.#owner._onSent(entry.id)
    this.#replayed += 1
    this.#hiddenCost = 0
    return entry.size
  }

  /** Returns what an entry counts that a filter hides. */
  #hide({ size }: LogEntry): number {
    const cost = Math.max(size, HIDDEN_COST)
    this.#hiddenCost += cost
    return cost
  }

  async #sendGap(id: string): Promise<void> {
    const { stream, resumePoint, optionsWithHooks } = this.#owner
    const reason = resumePoint === 'unreadable' ? 'unreadable' : this.#isEvicted ? 'evicted' : 'unknown'
    this.#snapshots = undefined
    const gap: Gap = { lastEventId: stream.lastEventId, reason }
    const isEventSent = await reportGap(stream, gap, {
      hooks: hooksOf(optionsWithHooks),
      gapEvent: this.#gapEvent,
      id,
      // Events published during the snapshot are after `id`, so they follow it.
      sendAll: (snapshot) => this.#sender.sendAll(snapshot),
      send: (event) => this.#sender.sendAll([event]),
    })
    if (!this.isActive) return
    this.#position = id
    this.#gapEnd = undefined
    if (isEventSent) this.#owner._onSent(id)
    else this.#owner._sendPosition(id)
  }

  // Events published during the snapshots are after the position, so they follow them.
  async #sendSnapshots(snapshots: PendingSnapshots): Promise<void> {
    if (!(await snapshots.send(this.stream, (events) => this.#sender.sendAll(events)))) return
    if (snapshots.isEmpty) this.#snapshots = undefined
    // Not earlier, because a client that was cut off during a snapshot MUST get it again.
    if (this.isActive) this.#owner._sendPosition(this.#position)
  }
}
