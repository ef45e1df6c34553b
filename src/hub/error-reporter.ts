import { describe, type SseError } from '../errors.ts'
import { atTurnEnd } from '../scheduler/turn.ts'
import type { LogEntry } from '../stores/log-entry.ts'
import type { SseStream } from '../stream/stream.ts'
import { filterErrorChannel, publishErrorChannel } from './diagnostics.ts'
import type { Hub } from './hub.ts'

/** What an error of a hub is about. */
export interface HubErrorContext {
  /** The name of the channel. */
  readonly channel: string
  /** The id of the event that was hidden, because a filter or `deserialize` failed. */
  readonly id?: string | undefined
  /** The stream from which a filter hid the event. */
  readonly stream?: SseStream | undefined
}

/** Emits the errors that no caller receives as `error` of a hub, or prints the first one of each kind. */
export class ErrorReporter {
  readonly #hub: Hub
  #hasPrinted = { publish: false, filter: false, source: false }

  constructor(hub: Hub) {
    this.#hub = hub
  }

  /** Reports the rejection of a publish that was not awaited. `isDropped`: it is counted, and not emitted. */
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

  /** Reports that a filter failed to judge an entry, or that no filter could, because its data was not deserialized. */
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
    this.#report('source', error, { channel }, `The source of the channel ${describe(channel)} failed.`)
  }

  #report(
    kind: 'publish' | 'filter' | 'source',
    error: unknown,
    context: HubErrorContext,
    summary: string,
  ): void {
    if (this.#hub.listenerCount('error') > 0) this.#hub.emit('error', error, context)
    else if (!this.#hasPrinted[kind]) {
      this.#hasPrinted[kind] = true
      const errors = kind === 'publish' ? 'errors' : `${kind} errors`
      const hint = `Spillway prints no further ${errors} of this hub: use hub.on('error', listener).`
      console.error(`${summary} ${hint} ${reasonOf(error)}`)
    }
  }
}

/** Returns an error as it is printed, for example `ERR_SSE_STORE: The broker is lost.` */
function reasonOf(error: unknown): string {
  return error instanceof Error
    ? `${(error as Partial<SseError>).code ?? error.name}: ${error.message}`
    : describe(error)
}
