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
import { hooksOf } from './gap-hooks.ts'
import { HistoryStart, type Stage } from './history.ts'
import type { HubContext } from './hub-context.ts'
import { PendingSnapshots } from './pending-snapshots.ts'
import { HIDDEN_COST, pageCost, ReplayPace } from './replay-pace.ts'
import { ReplayReads } from './replay-reads.ts'
import type { ReplayedClient } from './replayed-client.ts'
import { SourceSender } from './source-sender.ts'
import type { OwnOptions } from './subscribe-options.ts'

// The most entries that are read from the store at a time.
const PAGE_SIZE = 500

/**
 * Reads the store from the position of the client, at the client's pace. It holds only a position, so that entries
 * without room in the client's queue are read again later. The subscription goes live in the step that finds no further
 * entries.
 */
export class CatchUp implements ReplayedClient {
  readonly stream: CatchUpOwner['stream']
  readonly #owner: CatchUpOwner
  readonly #hub: HubContext
  readonly #store: EventStore
  readonly #reads: ReplayReads
  readonly #pace = new ReplayPace(this)
  readonly #sender = new SourceSender(this, this.#pace)
  // Read by the constructor, because the store may become ready before `run`. Undefined once it is ready.
  #ready: Promise<void> | undefined
  // The position up to which the client has received everything.
  #position: string
  // The position where the client continues after a gap that was not reported yet.
  #gapEnd: string | undefined
  #isEvicted = false
  // The starts of the channels of a client without a position.
  #start: HistoryStart | undefined
  // Channels added since the last page was requested, and whether the client may have missed events of them.
  #addedChannels: Map<string, boolean> | undefined
  /** The snapshots that were not sent yet. */
  snapshots: PendingSnapshots | undefined
  // Whether all channels are read, and not only the channels of which an entry was published.
  #readsAll = false
  #isComplete = false
  #replayed = 0
  // The cost of the entries that were hidden since an event or a position was sent.
  #hiddenCost = 0
  // The most entries of the next page. It is reduced for a store that returns more than the client has room for.
  #pageSize = PAGE_SIZE

  constructor(owner: CatchUpOwner, hub: HubContext, position = hub.store.position) {
    this.stream = owner.stream
    this.#owner = owner
    this.#hub = hub
    this.#store = hub.store
    this.#position = position
    this.#ready = hub.store.ready
    this.#reads = new ReplayReads(this, hub.store)
  }

  /** Whether the client still waits for the events that it missed. */
  get isActive(): boolean {
    return this.#owner.isCatchingUp(this) && this.stream._connection.isOpen
  }

  /** The point where another subscription of the stream would resume. */
  get resumePoint(): ResumePoint {
    const { resumePoint } = this.#owner
    // A store that is not ready has no position. A new client that was not sent its snapshot or its history yet is
    // still new.
    if (this.#ready || (resumePoint === 'new' && (this.snapshots || this.#start))) return resumePoint
    if (this.#gapEnd === undefined) return { id: this.#position }
    return resumePoint === 'unreadable' ? resumePoint : { id: this.#position, gapEnd: this.#gapEnd }
  }

  /** Reports a gap up to a position before the next page. Default: the store's present position. */
  reportGap(end = this.#store.position): void {
    this.#gapEnd = end
  }

  /** Reads all channels, because entries may be lost of which the subscription was not notified. */
  readAll(): void {
    this.#readsAll = true
  }

  /** Adds channels after the start. Checks whether the client has missed events of the channels in `missable`. */
  addChannels(channels: readonly string[], missable: readonly string[]): void {
    if (channels.length > 0) this.#addedChannels ??= new Map()
    for (const channel of channels)
      this.#addedChannels?.set(channel, this.#addedChannels.get(channel) ?? false)
    for (const channel of missable) this.#addedChannels?.set(channel, true)
  }

  /** Removes a channel, so that the client misses no events of it. */
  removeChannel(channel: string): void {
    this.#addedChannels?.delete(channel)
  }

  /** Adds the snapshot of a subscription, if it has one. It is sent before all entries that were not sent yet. */
  addSnapshot(options: OwnOptions): void {
    if (!options.snapshot) return
    this.snapshots ??= new PendingSnapshots()
    this.snapshots.add(options.snapshot, options)
  }

  /** Catches up. `isResuming`: the client has reconnected, so that a replay without events is reported too. */
  async run(isResuming: boolean): Promise<void> {
    const startedAt = clock.now
    let error: unknown
    try {
      if (this.#ready) await this.#awaitStore(this.#ready)
      if (this.isActive && typeof this.#owner.resumePoint !== 'object')
        await this.#seek(this.#gapEnd ?? this.#position)
      while (this.isActive) await this.#step()
    } catch (failure) {
      // After the end of the subscription, a failure has no effect.
      if (this.isActive) {
        error = failure
        this.#hub.errors.replayFailed(failure, this.#owner)
      }
    }
    this.#pace.cancel()
    if (!replayChannel.hasSubscribers || !(isResuming || this.#replayed > 0)) return
    const result = { duration: clock.now - startedAt, complete: this.#isComplete, error }
    replayChannel.publish({ stream: this.stream, events: this.#replayed, resumed: isResuming, ...result })
  }

  /** Stops the pending read and the snapshot that is being sent, because the subscription has ended. */
  stop(): void {
    this.#sender.stop()
    this.#reads.stop()
    this.#pace.cancel()
    this.stream._connection.notify()
  }

  async #awaitStore(ready: Promise<void>): Promise<void> {
    await this.#reads.whenReady(ready)
    this.#ready = undefined
    if (this.#owner.resumePoint === 'new') this.#position = this.#store.position
    if (this.#owner.resumePoint === 'unreadable') this.reportGap()
  }

  /** Moves a client without a position to the start of its channels. If a gap is to be reported, it ends there. */
  async #seek(present: string): Promise<void> {
    const { history } = this.#owner
    if (!history?.size) {
      // The channels with a history may have been removed. Channels added since then start at the present.
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
    // No page is held while the client has no room. At the store's position, there is no page to wait for.
    if (this.#position !== this.#store.position && !this.#pace.begin()) return this.#pace.untilReadable()
    return this.#readPage(channels)
  }

  /** Handles added channels, a gap and snapshots, all of which precede the next page. */
  #prepare(): MaybePromise<void> {
    // Other replays do not wait while the application loads a snapshot.
    this.#pace.cancel()
    if (this.#addedChannels) return this.#checkAddedChannels(this.#addedChannels)
    if (this.#gapEnd !== undefined) return inOnePage(this.stream, this.#sendGap(this.#gapEnd))
    if (this.snapshots) return inOnePage(this.stream, this.#sendSnapshots(this.snapshots))
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
    return this.#addedChannels !== undefined || this.snapshots !== undefined
  }

  // True if a page lacks a channel of which an entry was published meanwhile, after which the page may end. All
  // channels are then read.
  #lacksChannel(channels: readonly string[]): boolean {
    const present = new Set(channels)
    this.#readsAll ||= this.#owner._channelsToRead().some((channel) => !present.has(channel))
    return this.#readsAll
  }

  // At its own position, a store has no further entries. A closed store returns a gap there.
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

  // A resumed client that adds channels later has missed the events published on them since its last event id. If there
  // were events, a gap is reported.
  async #checkAddedChannels(all: ReadonlyMap<string, boolean>): Promise<void> {
    const { resumePoint } = this.#owner
    const added = [...all].flatMap(([channel, isMissable]) => (isMissable ? channel : []))
    this.#addedChannels = undefined
    if (typeof resumePoint !== 'object' || added.length === 0) return
    const missed = await this.#reads.hasBetween(resumePoint.id, this.#position, added)
    const subscribed = added.filter((channel) => this.#owner.isSubscribed(channel))
    // The client misses no events of a channel that was removed meanwhile.
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

  // Offers a position, so that a client that disconnects during a long replay of hidden events does not resume at its
  // beginning.
  #offerPosition(id: string): void {
    this.#hiddenCost = 0
    if (id !== this.#store.position) this.#owner._offerPosition(id)
  }

  /** Sends entries while there is room for them, and ends the turn. Returns how many were sent or hidden. */
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

  /** Sends an entry. Returns its cost for the turn. */
  #sendEntry(entry: LogEntry): number {
    this.stream._connection.enqueue(entry.frameIn(this.stream._format))
    this.#owner._onSent(entry.id)
    this.#replayed += 1
    this.#hiddenCost = 0
    return entry.size
  }

  /** Counts an entry that a filter hides. Returns its cost for the turn. */
  #hide({ size }: LogEntry): number {
    const cost = Math.max(size, HIDDEN_COST)
    this.#hiddenCost += cost
    return cost
  }

  async #sendGap(id: string): Promise<void> {
    const { stream, resumePoint, optionsWithHooks } = this.#owner
    const reason = resumePoint === 'unreadable' ? 'unreadable' : this.#isEvicted ? 'evicted' : 'unknown'
    this.snapshots = undefined
    const gap: Gap = { lastEventId: stream.lastEventId, reason }
    const isEventSent = await reportGap(stream, gap, {
      hooks: hooksOf(optionsWithHooks),
      gapEvent: this.#hub.gapEvent,
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
    if (snapshots.isEmpty) this.snapshots = undefined
    // Not earlier, because a client that disconnects during a snapshot MUST get it again.
    if (this.isActive) this.#owner._sendPosition(this.#position)
  }
}
