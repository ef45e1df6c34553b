import { replayChannel } from '../diagnostics.ts'
import { closeSource } from '../event/source.ts'
import { clock } from '../scheduler/clock.ts'
import { turn } from '../scheduler/turn.ts'
import type { EventStore, Page } from '../stores/event-store.ts'
import type { LogEntry } from '../stores/log-entry.ts'
import { type Gap, type OnGap, reportGap } from '../stream/gap.ts'
import type { ResumePoint } from '../stream/resume-point.ts'
import type { SseStream } from '../stream/stream.ts'

/** The subscription that catches up. */
export interface CatchUpOwner {
  readonly stream: SseStream
  readonly channels: readonly string[]
  readonly gapHooks: Iterable<OnGap | undefined>
  readonly resumePoint: ResumePoint
  /** Whether this is still the catch-up of the subscription. */
  isCatchingUp(catchUp: CatchUp): boolean
  /** Whether the client may see an entry. */
  passes(entry: LogEntry): boolean
  /** @internal Called when there is nothing more to read. */
  _goLive(): void
}

// Entries that are read from the store at a time.
const PAGE_SIZE = 500

/**
 * Reads the store from where the client stopped, at the client's pace. The subscription goes live in the step that finds
 * nothing more to read.
 */
export class CatchUp {
  readonly #owner: CatchUpOwner
  readonly #store: EventStore
  readonly #gapEvent: string | false
  // Taken at the start, because the store may become ready before `run`. Undefined once it is ready.
  #ready: Promise<void> | undefined
  // Up to where the client has received everything.
  #position: string
  // Where the client continues after a gap that was not reported to it yet.
  #gapEnd: string | undefined
  // Channels added since the last page was requested.
  #addedChannels: readonly string[] | undefined
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
    // A store that is not ready has no position.
    if (this.#ready) return resumePoint
    if (this.#gapEnd === undefined) return { id: this.#position }
    return resumePoint === 'unreadable' ? resumePoint : { id: this.#position, gapEnd: this.#gapEnd }
  }

  /** Reports a gap up to a position first. Default: the store's present position. */
  reportGap(end = this.#store.position): void {
    this.#gapEnd = end
  }

  /** Checks whether the client has missed anything of channels that are added after the start. */
  addChannels(channels: readonly string[]): void {
    this.#addedChannels = [...(this.#addedChannels ?? []), ...channels]
  }

  /** Catches up. `isResuming`: the client resumes, so that the replay is reported to the diagnostics. */
  async run(isResuming: boolean): Promise<void> {
    const startedAt = clock.now
    let error: unknown
    try {
      if (this.#ready) await this.#awaitStore()
      while (this.#isActive) await this.#step()
    } catch (failure) {
      error = failure
      // After the end of the subscription, a failure has no effect.
      if (this.#owner.isCatchingUp(this)) this.#owner.stream.destroy(failure)
    }
    if (isResuming) this.#publishReplay(clock.now - startedAt, error)
  }

  // A closed stream accepts nothing more, long before its last bytes were written.
  get #isActive(): boolean {
    return this.#owner.isCatchingUp(this) && !this.#owner.stream.closed
  }

  async #awaitStore(): Promise<void> {
    await this.#ready
    this.#ready = undefined
    if (this.#owner.resumePoint === 'new') this.#position = this.#store.position
    if (this.#owner.resumePoint === 'unreadable') this.reportGap()
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
    const result = this.#store.read(this.#owner.channels, this.#position, PAGE_SIZE)
    const isAsync = typeof (result as PromiseLike<Page>).then === 'function'
    const page = isAsync ? await result : (result as Page)
    // A page that lacks an added channel is read again with it.
    if (!this.#isActive || this.#addedChannels) return
    // In the same tick as the read, so that no entry can be published in between.
    if (!isAsync && this.#isEnd(page)) this.#goLive()
    else if (page === 'gap') this.reportGap()
    else await this.#sendPage(page)
  }

  // At its own position a store has nothing to read. A closed one returns a gap there.
  #isEnd(page: Page): boolean {
    return page === 'gap' ? this.#position === this.#store.position : page.entries.length === 0
  }

  #goLive(): void {
    // Pending entries first, because their filters may change the subscription.
    turn.fanOutNow()
    if (!this.#isActive || this.#addedChannels) return
    this.#isComplete = true
    this.#owner._goLive()
  }

  // A resumed client that adds channels later has missed what was published on them since its last event id. If there was
  // anything, report a gap.
  async #checkAddedChannels(added: readonly string[]): Promise<void> {
    const { resumePoint } = this.#owner
    this.#addedChannels = undefined
    if (typeof resumePoint !== 'object' || added.length === 0) return
    const missed = await firstIdAfter(this.#store, resumePoint.id, added)
    if (missed === undefined) return
    const ahead = await firstIdAfter(this.#store, this.#position, added)
    const subscribed = added.filter((channel) => this.#owner.channels.includes(channel))
    // The client misses nothing of a channel that was removed meanwhile.
    if (subscribed.length < added.length) this.addChannels(subscribed)
    else if (ahead !== 'gap' && missed !== ahead) this.#gapEnd = this.#position
  }

  async #sendPage({ entries, upTo }: Exclude<Page, 'gap'>): Promise<void> {
    const { stream } = this.#owner
    for (const entry of entries) {
      if (!stream._hasRoomFor(entry.frame)) await stream.drained()
      if (!this.#isActive || this.#addedChannels) return
      this.#position = entry.id
      if (!this.#owner.passes(entry)) continue
      stream._enqueue(entry.frame)
      this.#replayed += 1
    }
    this.#position = upTo
  }

  async #sendGap(id: string): Promise<void> {
    const { stream, resumePoint, gapHooks } = this.#owner
    const reason = resumePoint === 'unreadable' ? 'unreadable' : 'unknown'
    const gap: Gap = { lastEventId: stream.lastEventId, reason }
    await reportGap(stream, gap, {
      hooks: gapHooks,
      gapEvent: this.#gapEvent,
      id,
      // Events published during the snapshot are after `id`, so they follow it.
      sendAll: (snapshot) => (this.#isActive ? stream.sendAll(snapshot) : closeSource(snapshot)),
      send: async (event) => {
        // No overflow policy drops it then.
        await stream.drained()
        if (this.#isActive) stream.send(event)
      },
    })
    if (!this.#isActive) return
    this.#position = id
    this.#gapEnd = undefined
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
