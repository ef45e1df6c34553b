import type { StopCallbacks } from '../event/source.ts'
import { outsideRequests } from '../scheduler/context.ts'
import type { CloseTarget } from './attachments.ts'
import type { CloseReason } from './close-reason.ts'
import type { SseStream } from './stream.ts'

/** The end of a stream, with its reason, and the callbacks and targets that are called then. */
export class StreamEnd {
  /** Undefined while the stream is open. */
  reason: CloseReason | undefined
  error: unknown
  #abortController: AbortController | undefined
  #stops: StopCallbacks | undefined
  // A list only from the second target on, because most streams have one.
  #targets: CloseTarget | CloseTarget[] | undefined
  #isNotified = false

  /** Aborts when the stream has ended. */
  get signal(): AbortSignal {
    this.#abortController ??= new AbortController()
    if (this.reason) this.#abortController.abort()
    return this.#abortController.signal
  }

  /** Whether `signal` was read, so that it aborts work of the application. */
  get hasSignal(): boolean {
    return this.#abortController !== undefined
  }

  /** The callbacks that are called when the stream ends. */
  get stops(): StopCallbacks {
    this.#stops ??= new Set()
    return this.#stops
  }

  /** Ends the stream and returns true, or returns false if it has ended already. The first reason stays. */
  mark(reason: CloseReason, error?: unknown): boolean {
    if (this.reason) return false
    this.reason = reason
    this.error = error
    outsideRequests(() => this.#abortController?.abort())
    for (const stop of this.#stops ?? []) stop()
    return true
  }

  /** Adds a target once. It is notified at once if the others were. */
  addTarget(target: CloseTarget, stream: SseStream): void {
    const targets = this.#targets
    if (this.#isNotified) target._streamClosed(stream)
    else this.#targets = targets ? [...new Set([targets, target].flat())] : target
  }

  notifyTargets(stream: SseStream): void {
    this.#isNotified = true
    const targets = [this.#targets ?? []].flat()
    this.#targets = undefined
    for (const target of targets) target._streamClosed(stream)
  }
}
