import { describe, describeError } from '../errors.ts'
import { atTurnEnd } from '../scheduler/turn.ts'
import type { LogEntry } from '../stores/log-entry.ts'
import type { SseStream } from '../stream/stream.ts'
import type { CatchUpOwner } from './catch-up-owner.ts'
import { filterErrorChannel, publishErrorChannel } from './diagnostics.ts'
import { endStream } from './end-stream.ts'
import type { Hub } from './hub.ts'
import { StoreErrorLimit } from './store-error-limit.ts'

/** The subject of an error of a hub. */
export interface HubErrorContext {
  /** The name of the channel. Undefined if a replay has failed for a stream that is subscribed to several. */
  readonly channel?: string | undefined
  /** The id of the event that was hidden, because a filter or `deserialize` failed. */
  readonly id?: string | undefined
  /** The stream from which a filter hid the event, or which was closed because its replay has failed. */
  readonly stream?: SseStream | undefined
}

/** Emits the errors that no caller receives as `error` of a hub, or prints the first one of each kind. */
export class ErrorReporter {
  readonly #hub: Hub
  readonly #storeErrors = new StoreErrorLimit()
  #hasPrinted = { publish: false, filter: false, source: false, replay: false }

  constructor(hub: Hub) {
    this.#hub = hub
  }

  /**
   * Reports the rejection of a publish that was not awaited. With `isDropped`, the error is counted and not emitted.
   */
  publishFailed(error: unknown, channel: string, isDropped: boolean): void {
    if (publishErrorChannel.hasSubscribers) publishErrorChannel.publish({ hub: this.#hub, channel, error })
    if (!isDropped)
      this.#report(
        'publish',
        error,
        { channel },
        `An unawaited publish to ${describe(channel)} was rejected.`,
      )
  }

  /** Reports that a filter failed for an entry, or that its data could not be deserialized for any filter. */
  filterFailed(error: unknown, { id, channel }: LogEntry, stream?: SseStream): void {
    const context = { channel, id, stream }
    if (filterErrorChannel.hasSubscribers) filterErrorChannel.publish({ hub: this.#hub, ...context, error })
    // After the fan-out, which a listener that throws would end.
    atTurnEnd(() =>
      this.#report(
        'filter',
        error,
        context,
        `A filter failed for ${describe(channel)}, which hides the event.`,
      ),
    )
  }

  /** Reports that the source of a channel failed. It is started again while the channel has subscribers. */
  sourceFailed(error: unknown, channel: string): void {
    // After the attempt of the source, because a listener that throws would prevent all further ones.
    atTurnEnd(() =>
      this.#report('source', error, { channel }, `The source of the channel ${describe(channel)} failed.`),
    )
  }

  /** Ends a stream whose missed events or snapshot could not be sent, and reports the error. */
  replayFailed(failure: unknown, { stream, channels }: Pick<CatchUpOwner, 'stream' | 'channels'>): void {
    endStream(stream, failure, (error) => {
      if (this.#storeErrors.passes(error)) this.#reportReplay(error, stream, channels)
    })
  }

  #reportReplay(error: unknown, stream: SseStream, channels: readonly string[]): void {
    const channel = channels.length === 1 ? channels[0] : undefined
    const where = channel === undefined ? `${channels.length} channels` : describe(channel)
    const summary = `A read of the store, a snapshot or onGap failed for a stream on ${where}, which closes the stream.`
    // Not at once, because a listener may throw.
    atTurnEnd(() => this.#report('replay', error, { channel, stream }, summary))
  }

  #report(
    kind: 'publish' | 'filter' | 'source' | 'replay',
    error: unknown,
    context: HubErrorContext,
    summary: string,
  ): void {
    if (this.#hub.listenerCount('error') > 0) this.#hub.emit('error', error, context)
    else if (!this.#hasPrinted[kind]) {
      this.#hasPrinted[kind] = true
      const errors = kind === 'publish' ? 'errors' : `${kind} errors`
      const hint = `Spillway prints no further ${errors} of this hub: use hub.on('error', listener).`
      console.error(`${summary} ${hint} ${describeError(error)}`)
    }
  }
}
