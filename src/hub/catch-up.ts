import { replayChannel } from '../diagnostics.ts'
import type { SseError } from '../errors.ts'
import type { Frame } from '../event/frame.ts'
import { closeSource, readSource, type Source, type StopCallbacks } from '../event/source.ts'
import { clock } from '../scheduler/clock.ts'
import { jitter } from '../scheduler/jitter.ts'
import { atTurnEnd, turn } from '../scheduler/turn.ts'
import type { EventStore, Page } from '../stores/event-store.ts'
import { type Gap, reportGap } from '../stream/gap.ts'
import type { ResumePoint } from '../stream/resume-point.ts'
import type { CatchUpOwner } from './catch-up-owner.ts'
import { hooksOf } from './gap-hooks.ts'
import { HistoryStart } from './history.ts'
import type { OwnOptions, Snapshot } from './subscribe-options.ts'

// Entries that are read from the store at a time.
const PAGE_SIZE = 500

// When a client reconnects that was closed because of an overload, in ms: after this time to twice this time.
const OVERLOAD_RETRY = 5_000

/**
 * Reads the store from where the client stopped, at the client's pace. The subscription goes live in the step that finds
 * nothing more to read.
 */
export class CatchUp {
  readonly #owner: CatchUpOwner
  readonly #store: EventStore
  readonly #gapEvent: string | false
  // Stop the snapshot that is being sent.
  readonly #stops: StopCallbacks = new Set()
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
  // To be sent, with the options of the subscriptions that have it.
  readonly #snapshots = new Map<Snapshot, OwnOptions[]>()
  // Whether all channels are read, and not only those of which an entry was published.
  #readsAll = false
  #isComplete = false
  #replayed = 0

  constructor(owner: CatchUpOwner, store: EventStore, gapEvent: string | false, position = store.position) {
    this.#owner = owner
    this.#store = store
    this.#gapEvent = gapEvent
    this.#position = position
    this.#ready = store.ready
  }

  /** Where another subscription of the stream would resume. */
  get resumePoint(): ResumePoint {
    const { resumePoint } = this.#owner
    // A store that is not ready has no position. A client that still has to get a snapshot or its history is as new as before.
    if (this.#ready || (resumePoint === 'new' && (this.#snapshots.size > 0 || this.#start)))
      return resumePoint
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
    const present = this.#snapshots.get(options.snapshot)
    if (present) present.push(options)
    else this.#snapshots.set(options.snapshot, [options])
  }

  /** Catches up. `isResuming`: the client resumes, so that the replay is reported to the diagnostics. */
  async run(isResuming: boolean): Promise<void> {
    const startedAt = clock.now
    let error: unknown
    try {
      if (this.#ready) await this.#awaitStore()
      if (typeof this.#owner.resumePoint !== 'object') await this.#seek(this.#gapEnd ?? this.#position)
      while (this.#isActive) await this.#step()
    } catch (failure) {
      error = failure
      // After the end of the subscription, a failure has no effect.
      if (this.#owner.isCatchingUp(this)) this.#fail(failure)
    }
    if (isResuming) this.#publishReplay(clock.now - startedAt, error)
  }

  /** Stops the snapshot that is being sent, because the subscription has ended. */
  stop(): void {
    for (const stop of this.#stops) stop()
  }

  get #isActive(): boolean {
    return this.#owner.isCatchingUp(this) && this.#owner.stream._connection.isOpen
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
    if (!history || history.size === 0) return
    const start = new HistoryStart(this.#store, present)
    for (const request of history.values()) await start.add(request)
    this.#start = start
    this.#isEvicted = this.#gapEnd === undefined && start.isIncomplete
    if (this.#gapEnd === undefined) this.#position = start.position
    if (this.#gapEnd !== undefined || start.isIncomplete) this.reportGap(start.position)
  }

  // A client that is closed because of an overload loses nothing, because it keeps its last event id.
  #fail(error: unknown): void {
    const { stream } = this.#owner
    const isOverload = (error as Partial<SseError> | undefined)?.code === 'ERR_SSE_OVERLOAD'
    // `close` may have sent a time of its own.
    if (isOverload && !stream.closed) this.#sendRetry(jitter(OVERLOAD_RETRY))
    if (isOverload) stream._endReplay(error)
    else stream.destroy(error)
  }

  #sendRetry(retry: number): void {
    const { stream } = this.#owner
    stream._connection.enqueueOverBound(stream._frameOf({ retry }))
  }

  #publishReplay(duration: number, error: unknown): void {
    if (!replayChannel.hasSubscribers) return
    const { stream } = this.#owner
    replayChannel.publish({ stream, events: this.#replayed, duration, complete: this.#isComplete, error })
  }

  async #step(): Promise<void> {
    if (this.#addedChannels) await this.#checkAddedChannels(this.#addedChannels)
    if (!this.#isActive) return
    if (this.#gapEnd !== undefined) return this.#sendGap(this.#gapEnd)
    if (this.#snapshots.size > 0) return this.#sendSnapshots([...this.#snapshots])
    const isAll = this.#readsAll
    const channels = isAll ? this.#owner.channels : this.#owner._channelsToRead()
    if (!this.#isActive || this.#isChanged) return
    if (channels.length === 0) return this.#goLive()
    const stage = this.#start?.stageAt(this.#position, channels) ?? { channels, end: undefined }
    const result = this.#store.read(stage.channels, this.#position, PAGE_SIZE)
    const isAsync = typeof (result as PromiseLike<Page>).then === 'function'
    const page = isAsync ? await result : (result as Page)
    // A page that lacks a channel is read again with it.
    if ((isAsync && !isAll && this.#lacksChannel(channels)) || !this.#isActive || this.#addedChannels) return
    // In the same tick as the read, so that no entry can be published in between.
    if (!isAsync && stage.end === undefined && this.#isEnd(page)) this.#goLive()
    else if (page === 'gap') await this.#restart()
    else await this.#sendPage(this.#start?.within(page, stage) ?? page, stage.end)
  }

  get #isChanged(): boolean {
    return this.#addedChannels !== undefined || this.#snapshots.size > 0
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
    if (!this.#isActive || this.#isChanged || position !== this.#store.position) return
    this.#isComplete = true
    this.#owner._goLive()
  }

  // After a gap, a client starts where a new one does.
  async #restart(): Promise<void> {
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
    const missed = await firstIdAfter(this.#store, resumePoint.id, added)
    if (missed === undefined) return
    const ahead = await firstIdAfter(this.#store, this.#position, added)
    const subscribed = added.filter((channel) => this.#owner.isSubscribed(channel))
    // The client misses nothing of a channel that was removed meanwhile.
    if (subscribed.length < added.length) this.addChannels(subscribed, subscribed)
    else if (ahead !== 'gap' && missed !== ahead) this.#gapEnd = this.#position
  }

  async #sendPage({ entries, upTo }: Exclude<Page, 'gap'>, end: string | undefined): Promise<void> {
    const { stream } = this.#owner
    let sent = 0
    for (const entry of entries) {
      this.#owner._adopt(entry)
      if (!stream._hasRoomFor(entry.frame)) await this.#room()
      if (!this.#isActive || this.#addedChannels) return
      this.#position = entry.id
      if (!this.#owner.passes(entry)) continue
      stream._connection.enqueue(entry.frame)
      this.#owner._onSent(entry.id)
      sent += 1
      this.#replayed += 1
    }
    this.#position = upTo
    // A client that resumes at the end of a stage does not receive the events of a channel before its start.
    if (upTo === end && !this.#addedChannels) this.#owner._sendPosition(upTo)
    // So that a client that is cut off during a long replay of hidden events does not start again from the beginning.
    else if (sent === 0 && upTo !== this.#store.position && !this.#addedChannels) {
      this.#owner._offerPosition(upTo)
      // Nothing is awaited in such a replay, so that many of them would block the event loop.
      await new Promise<void>((resolve) => atTurnEnd(resolve))
    }
  }

  async #sendGap(id: string): Promise<void> {
    const { stream, resumePoint, optionsWithHooks } = this.#owner
    const reason = resumePoint === 'unreadable' ? 'unreadable' : this.#isEvicted ? 'evicted' : 'unknown'
    const gap: Gap = { lastEventId: stream.lastEventId, reason }
    this.#snapshots.clear()
    const isEventSent = await reportGap(stream, gap, {
      hooks: hooksOf(optionsWithHooks),
      gapEvent: this.#gapEvent,
      id,
      // Events published during the snapshot are after `id`, so they follow it.
      sendAll: (snapshot) => this.#sendAll(snapshot),
      send: (event) => this.#sendAll([event]),
    })
    if (!this.#isActive) return
    this.#position = id
    this.#gapEnd = undefined
    if (isEventSent) this.#owner._onSent(id)
    else this.#owner._sendPosition(id)
  }

  // Events published during the snapshots are after the position, so they follow them.
  async #sendSnapshots(all: ReadonlyArray<[Snapshot, OwnOptions[]]>): Promise<void> {
    const { stream } = this.#owner
    for (const [snapshot, options] of all) {
      // Not one of a subscription that was removed.
      if (options.every(({ isRemoved }) => isRemoved)) continue
      const events = await snapshot(stream, undefined)
      if (events && !(await this.#sendAll(events))) return
    }
    // Those added meanwhile follow in the next step.
    for (const [snapshot] of all) this.#snapshots.delete(snapshot)
    // Not earlier, because a client that was cut off during a snapshot MUST get it again.
    if (this.#isActive) this.#owner._sendPosition(this.#position)
  }

  async #sendAll(source: Source): Promise<boolean> {
    const { stream } = this.#owner
    if (!this.#isActive) return closeSource(source)
    return readSource(source, this.#stops, (event) => {
      const frame = stream._frameOf(event)
      if (stream._hasRoomFor(frame)) return this.#send(frame)
      return this.#room().then(() => this.#send(frame))
    })
  }

  #send(frame: Frame): boolean {
    if (this.#isActive) this.#owner.stream._connection.enqueue(frame)
    return this.#isActive
  }

  async #room(): Promise<void> {
    const { stream } = this.#owner
    await stream._connection.waitUntil(() => !stream._connection.isOpen || stream._isIdle)
  }
}

/** Returns the id of the first entry of some channels after a position, or undefined if there is none. */
async function firstIdAfter(
  store: EventStore,
  position: string,
  channels: readonly string[],
): Promise<string | 'gap' | undefined> {
  for (let after = position; ; ) {
    const result = store.read(channels, after, 1)
    const page = await result
    if (page === 'gap') return 'gap'
    // A synchronous empty page is the end of the log.
    if (page.entries[0] || page === result) return page.entries[0]?.id
    after = page.upTo
  }
}
