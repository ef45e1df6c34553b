import { setTimeout as pause } from 'node:timers/promises'
import { Waiters } from '../../condition.ts'
import { late } from '../broker/deadline.ts'
import type { Engine, EngineOwner, StoredEntry } from '../broker/driver.ts'
import type { NatsClient } from './client.ts'
import { Link } from './connection-monitor.ts'
import { gone, isTransient, isUnserved, unusable } from './errors.ts'
import { messageIdOf } from './message-id.ts'
import { comparePlaces, creationOf, isPlaceIn, placeOf, sequenceOf } from './message-position.ts'
import { type Followed, Follower } from './ordered-consumer.ts'
import { readAfter } from './page-reader.ts'
import { Publisher } from './publisher.ts'
import { ensureStream, lookUp, type StreamPlan, type StreamState } from './stream-config.ts'
import { channelOf, subjectOf } from './subjects.ts'

// What lies between attempts to follow again, in ms.
const PAUSE = 50
const LONGEST_PAUSE = 1_000
// How long the end of a log waits for the end of its consumer, in ms.
const REMOVAL = 1_000

/** A log in a stream of JetStream: a subject for each channel, and one ordered consumer for all of them. */
export class JetStream implements Engine {
  readonly compare = comparePlaces
  readonly #client: NatsClient
  readonly #plan: StreamPlan
  readonly #link: Link
  readonly #publisher: Publisher
  readonly #changed = new Waiters()
  #owner: EngineOwner | undefined
  #recent = 0
  #follower: Follower | undefined
  // Where the log stands: in this creation of the stream, up to this sequence.
  #creation = ''
  #last = 0
  // The newest there was when it began: up to there, it is what was before.
  #newest = 0
  #isOpen = false
  #isReady = false
  #failure: unknown

  constructor(client: NatsClient, plan: StreamPlan) {
    this.#client = client
    this.#plan = plan
    this.#link = new Link(client.connection, () => this.#relink())
    this.#publisher = new Publisher(client, this.#link, plan.publishTimeout, () =>
      this.#look().catch(() => {}),
    )
  }

  async open(owner: EngineOwner, recent: number): Promise<string> {
    this.#owner = owner
    this.#recent = recent
    void this.#follow()
    await this.#changed.until(() => this.#isOpen || this.#failure !== undefined || this.#link.isClosed)
    if (this.#failure !== undefined) throw unusable(this.#failure)
    if (!this.#isOpen) {
      owner._state('closed')
      throw gone()
    }
    return placeOf(this.#creation, this.#last)
  }

  async append(channel: string, record: string, idempotencyKey?: string): Promise<string> {
    const [creation, told] = [this.#creation, this.#last]
    const subject = subjectOf(this.#plan.subjectPrefix, channel)
    const msgId = messageIdOf(channel, idempotencyKey)
    const { seq, duplicate } = await this.#publisher.publish(subject, record, msgId)
    if (creation === this.#creation && (seq > told || duplicate)) return placeOf(creation, seq)
    // A new message in an old place: the stream is another one than that which was told of.
    const state = await this.#look().catch(() => undefined)
    return placeOf(state?.creation ?? this.#creation, seq)
  }

  async range(after: string, limit: number): Promise<readonly StoredEntry[] | 'gap'> {
    let deadline = Date.now() + this.#plan.publishTimeout
    for (let failure: unknown; ; ) {
      // An outage is waited for, however long: the client stays connected.
      if (!this.#link.isUp) {
        await this.#link.settled()
        deadline = Date.now() + this.#plan.publishTimeout
      }
      const timeout = deadline - Date.now()
      if (this.#link.isClosed) throw gone()
      if (timeout <= 0) throw late(failure)
      try {
        return await this.#link.during(() => this.#read(after, limit), timeout)
      } catch (error) {
        if (!isTransient(error)) throw unusable(error)
        failure = error
      }
      await pause(PAUSE)
    }
  }

  isId(text: string): boolean {
    return isPlaceIn(this.#creation, text)
  }

  async close(): Promise<void> {
    const follower = this.#follower
    // What cannot be reached now is dropped by the server itself.
    if (follower) await this.#link.during(() => follower.remove(), REMOVAL).catch(() => {})
    this.#link.close()
  }

  async #follow(): Promise<void> {
    for (let wait = PAUSE; !this.#link.isClosed; wait = Math.min(2 * wait, LONGEST_PAUSE)) {
      await this.#link.settled()
      try {
        await this.#resume()
        await this.#changed.until(() => !this.#follower || this.#link.isClosed)
        wait = PAUSE
      } catch (error) {
        this.#unfollow()
        // Credentials and a stream that does not fit do not get right by trying again: at the start, it is said.
        if (!this.#isOpen && !isRepeatable(error)) return this.#fail(error)
      }
      await this.#link.pause(wait)
    }
  }

  async #resume(): Promise<void> {
    const manager = await this.#client.manager
    const state = await this.#link.during(() => ensureStream(manager, this.#plan))
    this.#publisher.isReplicated = state.isReplicated
    this.#stand(state)
    const follower = new Follower(this.#client, this.#plan.stream, {
      onMessage: (message) => this.#tell(message),
      onIdle: (upTo) => this.#rest(upTo),
      onBroken: () => this.#unfollow(),
    })
    this.#follower = follower
    await this.#link.during(() => follower.create(this.#last))
    // The consumer may be one of a stream that was created in between: nobody listens to it before that is known.
    await this.#link.during(() => this.#look())
    if (this.#follower !== follower) return
    follower.listen()
    if (this.#last >= this.#newest) this.#ready()
  }

  /** Decides where to go on in a stream as it is now, and says what cannot be told any more. */
  #stand({ creation, first, last }: StreamState): void {
    // The sequence of a stream that never held anything is 0, and its first is too.
    const oldest = Math.max(first, 1)
    const isFirst = this.#creation === ''
    const isSame = creation === this.#creation
    if (isSame && oldest <= this.#last + 1 && this.#last <= last) return
    this.#creation = creation
    this.#newest = last
    // Of a server that lost its last messages, what is still there was told before.
    const told = isFirst ? last - this.#recent : isSame ? this.#last : 0
    const from = Math.min(Math.max(oldest - 1, told), last)
    if (isFirst) this.#last = from
    else this.#lose(from)
  }

  #lose(last: number): void {
    this.#last = last
    this.#owner?._lost(placeOf(this.#creation, last))
  }

  #tell(message: Followed): void {
    const { sequence, pending } = message
    // Sequences are dense: what lies between was removed before it could be told.
    if (sequence !== this.#last + 1) this.#lose(sequence - 1)
    this.#last = sequence
    this.#owner?._entries([this.#toEntry(message, this.#creation)])
    // What is not there any more at the end of what it begins with is lost to nobody.
    if (pending === 0 && !this.#isOpen) this.#last = Math.max(sequence, this.#newest)
    if (pending === 0 || sequence >= this.#newest) this.#ready()
  }

  #rest(upTo: number): void {
    if (upTo > this.#last) this.#lose(upTo)
    this.#ready()
  }

  #ready(): void {
    if (this.#isReady || !this.#follower) return
    this.#isReady = true
    this.#isOpen = true
    this.#owner?._state('ready')
    this.#changed.notify()
  }

  #relink(): void {
    this.#unfollow()
    if (!this.#link.isClosed) return
    this.#publisher.close()
    this.#owner?._state('closed')
  }

  /** Has it follow anew, from where it stands. */
  #unfollow(): void {
    const follower = this.#follower
    follower?.stop()
    if (this.#link.isUp) follower?.remove().catch(() => {})
    this.#follower = undefined
    this.#isReady = false
    if (!this.#link.isClosed) this.#owner?._state(this.#isOpen ? 'reconnecting' : 'connecting')
    this.#changed.notify()
  }

  #fail(error: unknown): void {
    this.#failure = error
    this.#changed.notify()
  }

  /** Looks whether the stream is still the one that is followed. */
  async #look(): Promise<StreamState | undefined> {
    const state = await lookUp(await this.#client.manager, this.#plan)
    if (state?.creation !== this.#creation) this.#unfollow()
    return state
  }

  async #read(after: string, limit: number): Promise<readonly StoredEntry[] | 'gap'> {
    const state = await this.#look()
    if (!isKept(after, state)) return 'gap'
    const place = sequenceOf(after)
    if (place === state.last) return []
    const found = await readAfter(this.#client, this.#plan.stream, place, limit)
    // What was there before may have been removed while it was read.
    if (!isKept(after, await this.#look())) return 'gap'
    return found.map((message) => this.#toEntry(message, state.creation))
  }

  #toEntry({ sequence, subject, payload }: Followed, creation: string): StoredEntry {
    const channel = channelOf(this.#plan.subjectPrefix, subject)
    return { id: placeOf(creation, sequence), channel, record: payload }
  }
}

/** Whether all that followed a place is still there. */
function isKept(place: string, state: StreamState | undefined): state is StreamState {
  if (state?.creation !== creationOf(place)) return false
  return sequenceOf(place) >= state.first - 1 && sequenceOf(place) <= state.last
}

function isRepeatable(error: unknown): boolean {
  return isTransient(error) && !isUnserved(error)
}
