import { EventEmitter, setMaxListeners } from 'node:events'
import { checkOptions, MAX_TIME } from '../check-options.ts'
import { describe, mustBe, SseError } from '../errors.ts'
import type { AnyEvents, EventMap } from '../event/event.ts'
import { isPromise, type MaybePromise, type Source } from '../event/source.ts'
import type { SourceRunner } from '../hub/channel-feed.ts'
import { endStream } from '../hub/end-stream.ts'
import { type ShutdownOptions, shutdownSettings } from '../lifecycle/graceful-close.ts'
import { StreamSet } from '../lifecycle/stream-set.ts'
import { clock } from '../scheduler/clock.ts'
import { memoryRuns } from '../stores/memory/memory-runs.ts'
import type { RunState, RunStore } from '../stores/run-store.ts'
import { checkStream } from '../stream/check-stream.ts'
import type { SseStream } from '../stream/stream.ts'
import { attach, refuseUnknown } from './attach.ts'
import { closeSignalOf, STREAM_CLOSED } from './close-signal.ts'
import { runEndChannel, runStartChannel } from './diagnostics.ts'
import { endRuns } from './end-runs.ts'
import { Lease } from './lease.ts'
import { limitRun } from './limit-run.ts'
import { OwnedRun } from './owned-run.ts'
import { OwnedRuns } from './owned-runs.ts'
import { requestStop } from './request-stop.ts'
import type { Run } from './run.ts'
import { RunErrors, type RunsEventMap } from './run-errors.ts'
import { checkRunId, isRunId, runIdOf } from './run-id.ts'
import type { RunLog } from './run-log.ts'
import { RunLogs } from './run-logs.ts'
import {
  RUN_LIMIT_CHECKS,
  type RunLimits,
  type RunSettings,
  type RunSubscribeOptions,
  type RunsOptions,
  resolveRunsOptions,
  SUBSCRIBE_RUN_CHECKS,
} from './run-options.ts'
import { RunStarts } from './run-starts.ts'
import type { GapOptions, RunSubscription } from './run-subscription.ts'

/**
 * Streams that have a beginning, an end and an owner: the answer of a language model, a deployment log, an export. The
 * source of a run outlives its clients, and each client receives all of it.
 */
export class Runs<Events extends EventMap = AnyEvents>
  extends EventEmitter<RunsEventMap>
  implements SourceRunner
{
  /** @internal Whether several processes share the runs. */
  readonly _isShared: boolean
  readonly #name = crypto.randomUUID().replaceAll('-', '')
  readonly #store: RunStore
  readonly #settings: RunSettings
  readonly #errors = new RunErrors(this)
  readonly #lease: Lease
  readonly #logs: RunLogs
  readonly #starts: RunStarts
  readonly #owned = new OwnedRuns()
  readonly #streams = new StreamSet<RunSubscription>((subscription) => {
    subscription.end()
    this.#logs.release(subscription.log)
  })
  // Streams that were subscribed once, also while their run is looked up.
  readonly #known = new WeakSet<SseStream>()
  // The runs in `#owned` that are sources of channels.
  readonly #channels = new Set<OwnedRun>()
  readonly #closing = new AbortController()
  #isShutDown = false
  #closed: Promise<void> | undefined

  /** Throws `SseError` `ERR_SSE_OPTION`. */
  constructor(options: RunsOptions = {}) {
    super()
    this.#settings = resolveRunsOptions(options)
    this.#store = options.store ?? memoryRuns()
    this._isShared = this.#store.isShared === true
    this.#lease = new Lease(this.#store, this.#settings.lease, () => this.#loseAll())
    // Errors of the store are limited, because the end of a run that another process has owned is retried.
    const onError = (error: unknown, id: string) => this.#errors.reportLimited(error, id)
    this.#logs = new RunLogs(this.#store, this.#settings, this.#name, onError)
    this.#starts = new RunStarts({
      ...{ store: this.#store, lease: this.#lease, settings: this.#settings, name: this.#name },
      signal: this.#closing.signal,
      isOwned: (run) => this.#owned.find(run) !== undefined,
      onError,
    })
    // Each call that waits for the end of a run adds a listener.
    setMaxListeners(0, this.#closing.signal)
    this.#store.serve(
      { name: this.#name, onStop: (id, epoch) => this.#owned.find({ id, epoch })?.stop() },
      this.#settings.lease,
    )
  }

  /**
   * Starts a run with the source that a function returns, unless there is a run with this id in any process. Resolves
   * with the run in both cases. The signal of the source aborts when the run is stopped, not when a client disconnects.
   *
   * Rejects with `SseError`: `ERR_SSE_RUN_ID`; `ERR_SSE_RUN_ENDED` for a run that has ended and is still kept;
   * `ERR_SSE_SHUT_DOWN`; and `ERR_SSE_STORE`. An error of the source ends the run.
   */
  async start(
    id: string,
    source: (signal: AbortSignal) => MaybePromise<Source<Events>>,
    options: RunLimits = {},
  ): Promise<Run<Events>> {
    checkRunId(id)
    if (typeof source !== 'function')
      mustBe('a function that returns it', 'ERR_SSE_SOURCE', 'The source of a run', source)
    const settings = { ...this.#settings, ...checkOptions(options, RUN_LIMIT_CHECKS) }
    this.#checkOpen()
    const state = await this.#starts
      .start(id, settings.maxAge, ({ epoch }) => {
        this.#checkOpen()
        this.#own(id, epoch, source, settings)
      })
      .finally(() => this.#endLease())
    this.#checkOpen()
    if (state.end)
      throw new SseError(
        'ERR_SSE_RUN_ENDED',
        `The run ${describe(id)} has ended. Delete it, or use another id.`,
      )
    return this.#runOf(id, state)
  }

  /**
   * Subscribes a stream to a run. Sends all events from the beginning, or strictly after its last event id, and closes
   * the stream after the last one. Resolves when the run was looked up or the client has disconnected, and does not
   * reject.
   *
   * A client of an unknown run gets a 404, and one that has received everything gets a 204. If the response headers
   * were sent, it gets a gap, or the last event again. An error of the store destroys the stream.
   *
   * Throws `SseError` `ERR_SSE_STREAM` or `ERR_SSE_OPTION`.
   */
  subscribe<Own extends Events>(
    stream: SseStream<Own>,
    id: string,
    options: RunSubscribeOptions<Events> = {},
  ): Promise<void> {
    checkStream(stream)
    const { onGap } = checkOptions(options, SUBSCRIBE_RUN_CHECKS) as RunSubscribeOptions
    const onError = (error: unknown) => this.#errors.reportLimited(error, id)
    const gapOptions = { onGap, gapEvent: this.#settings.gapEvent, onError }
    if (this.#known.has(stream))
      throw new SseError('ERR_SSE_STREAM', 'The stream is subscribed to a run already.')
    this.#known.add(stream)
    const resume = stream._resumePoint
    const eventId = typeof resume === 'object' ? resume.id : undefined
    const signalOf = () => closeSignalOf(stream as SseStream)
    const log = isRunId(id) ? this.#logs.acquireFor(id, eventId, signalOf) : undefined
    const attached = isPromise(log)
      ? log.then((found) => this.#attach(stream, found, gapOptions))
      : this.#attach(stream, log, gapOptions)
    if (!isPromise(attached)) return Promise.resolve()
    const subscribed = attached.catch((error) => {
      if (error !== STREAM_CLOSED) endStream(stream, error, onError)
    })
    stream._connection.output.decideBy(subscribed)
    return subscribed
  }

  /** Returns a run, or undefined if there is none. Rejects with `SseError` `ERR_SSE_STORE`. */
  async get(id: string): Promise<Run<Events> | undefined> {
    const state = isRunId(id) ? await this.#store.find(id) : undefined
    return state && this.#runOf(id, state)
  }

  /**
   * Stops a run in any process. Resolves with true when its source is closed and the end is stored, and with false if
   * no such run was in progress. Rejects with `SseError` `ERR_SSE_STORE` or `ERR_SSE_SHUT_DOWN`.
   */
  async stop(id: string): Promise<boolean> {
    const owned = this.#owned.get(id)
    if (owned) {
      owned.stop()
      await owned.ended
      return true
    }
    const state = isRunId(id) ? await this.#store.find(id) : undefined
    if (!state || state.end) return false
    const context = { store: this.#store, logs: this.#logs, signal: this.#closing.signal }
    await requestStop(context, id, state)
    return true
  }

  /** Stops and removes a run. Resolves with whether there was one. Rejects as `stop` does. */
  async delete(id: string): Promise<boolean> {
    if (!isRunId(id)) return false
    await this.stop(id)
    return this.#store.remove(id)
  }

  /** The number of streams that are subscribed to a run in this process. */
  get size(): number {
    return this.#streams.size
  }

  /** The number of sources that this process runs. */
  get running(): number {
    return this.#owned.size
  }

  /**
   * Starts no further runs, and waits until the sources of this process have ended. Runs that have not ended after
   * `grace` end as `lost`. Then closes every stream with a jittered reconnection time. Resolves when everything is
   * closed, including the store.
   *
   * Rejects with `SseError` `ERR_SSE_OPTION`.
   */
  async shutdown(options: ShutdownOptions = {}): Promise<void> {
    const settings = { ...this.#settings, ...shutdownSettings(options) }
    this.#isShutDown = true
    await endRuns([...this.#owned], settings)
    await this.#streams.shutdown(settings)
    this.#closing.abort(new SseError('ERR_SSE_SHUT_DOWN', 'The runs are shut down.'))
    this.#logs.close()
    this.#lease.end()
    this.#closed ??= this.#store.close()
    await this.#closed
  }

  /** @internal Ends the sources of channels, which have no end of their own. Another process may start them again. */
  _stopChannels(): void {
    for (const run of this.#channels) run.stop()
  }

  /** @internal Called by a hub for the source of a channel, which has no events as a run. */
  async _runShared(
    name: string,
    work: (signal: AbortSignal) => Promise<void>,
    linger: number,
    signal: AbortSignal,
  ): Promise<void> {
    const source = async (stopped: AbortSignal) => {
      await work(stopped)
      return []
    }
    // Once it has ended, the next process may start it again.
    const limits = { abandonAfter: Math.max(1, linger), keep: 1, maxAge: MAX_TIME }
    const id = await runIdOf(name)
    await this.start(id, source, limits).catch((error: SseError) => {
      if (error.code !== 'ERR_SSE_RUN_ENDED') throw error
    })
    const run = this.#owned.get(id)
    if (run) this.#channels.add(run)
    // The wait counts as a subscriber.
    await this.#logs.whenEnded(id, signal)
  }

  #endLease(): void {
    if (this.#owned.size === 0 && this.#starts.isIdle) this.#lease.end()
  }

  #checkOpen(): void {
    if (this.#isShutDown)
      throw new SseError('ERR_SSE_SHUT_DOWN', 'The runs are shut down, so no run can start.')
  }

  #own(id: string, epoch: string, source: (signal: AbortSignal) => unknown, settings: RunSettings): void {
    const startedAt = clock.read()
    const onError = (error: unknown) => this.#errors.report(error, id)
    const run = new OwnedRun(
      { store: this.#store, lease: this.#lease, settings, onError },
      { id, epoch },
      source,
    )
    const cancelLimits = limitRun(run, this.#store, settings)
    this.#owned.add(run)
    if (runStartChannel.hasSubscribers) runStartChannel.publish({ runs: this, id })
    void run.ended.then(({ reason }) => {
      cancelLimits()
      this.#owned.delete(run)
      this.#channels.delete(run)
      this.#endLease()
      if (!runEndChannel.hasSubscribers) return
      runEndChannel.publish({
        runs: this,
        id,
        reason,
        events: run.events,
        duration: clock.read() - startedAt,
      })
    })
  }

  #attach(stream: SseStream, log: RunLog | undefined, options: GapOptions): MaybePromise<void> {
    if (this.#streams.isShutDown) this.#streams.refuse(stream)
    else if (!log) return refuseUnknown(stream, options)
    if (!log) return
    const subscription = stream.closed ? undefined : attach(stream, log, options)
    if (!subscription) return this.#logs.release(log)
    this.#streams.add(stream, subscription)
    subscription.start()
  }

  #runOf(id: string, { epoch, end }: RunState): Run<Events> {
    const owned = this.#owned.find({ id, epoch })
    return {
      id,
      end,
      isOwner: owned !== undefined,
      subscribe: (stream, options) => this.subscribe(stream, id, options),
      stop: () => this.stop(id),
      whenEnded: async () =>
        owned ? (await owned.ended).reason : this.#logs.whenEnded(id, this.#closing.signal),
    }
  }

  #loseAll(): void {
    for (const run of this.#owned) run.stop('lost')
  }
}
