import { Deadline } from '../scheduler/deadline.ts'
import { pause } from '../scheduler/pause.ts'
import { refuseStreams } from './draining.ts'
import { ServerConnections } from './server-connections.ts'
import {
  type GracefulShutdownOptions,
  type GracefulShutdownSettings,
  gracefulShutdownSettings,
} from './shutdown-options.ts'
import { ShutdownSignals } from './shutdown-signals.ts'

// The reconnection time of refused clients if `retry` is 0, in ms, because they have no earlier time.
const REFUSAL_RETRY = 2_000

// How long the end may take after everything is destroyed, in ms, because a store or a callback may hang.
const END_TIME = 2_000

/**
 * The state of a shutdown. `ready`: it has not begun. `delay`: requests are still served. `closing`: streams are
 * refused and closed. `closed`: everything is closed.
 */
export type ShutdownState = 'ready' | 'delay' | 'closing' | 'closed'

/** The shutdown of a process, which begins with a signal or with `start`. */
export interface GracefulShutdown {
  /** Whether load balancers may send requests to this process. Use it for the response to `/readyz`. */
  readonly ready: boolean
  readonly state: ShutdownState
  /** Resolves when everything is closed. Never rejects, because errors are passed to `onError`. */
  readonly done: Promise<void>
  /** Begins the shutdown, unless it has begun. Returns `done`. It does not end the process. */
  start(): Promise<void>
}

/**
 * Shuts a process down in four phases, when it gets a signal or when `start` is called:
 *
 * 1. For `delay` ms, `ready` is false and requests are served as before.
 * 2. The server accepts no connections. New streams get a reconnection time and end. Responses that begin have the
 *    header `Connection: close`, and clients of HTTP/2 get GOAWAY.
 * 3. The streams of hubs are closed, evenly over `spread` ms. Runs, generators and other responses may finish.
 * 4. `grace` ms after the first phase, all remaining streams and connections are destroyed.
 *
 * MUST be called before the server accepts its first connection. Throws `SseError` `ERR_SSE_OPTION`.
 */
export function gracefulShutdown(options: GracefulShutdownOptions = {}): GracefulShutdown {
  return new Shutdown(gracefulShutdownSettings(options))
}

class Shutdown implements GracefulShutdown {
  state: ShutdownState = 'ready'
  readonly done: Promise<void>
  readonly #settings: GracefulShutdownSettings
  readonly #connections: readonly ServerConnections[]
  readonly #signals: ShutdownSignals
  readonly #forced = new AbortController()
  // The deadline of the end, once everything is destroyed.
  #end: Deadline | undefined
  #hasFailed = false
  #finish = () => {}

  constructor(settings: GracefulShutdownSettings) {
    this.#settings = settings
    this.#connections = settings.servers.map((server) => new ServerConnections(server))
    this.done = new Promise((resolve) => {
      this.#finish = resolve
    })
    this.#signals = new ShutdownSignals(settings, {
      onSignal: () => this.start(),
      onForce: () => this.#force(),
    })
  }

  get ready(): boolean {
    return this.state === 'ready'
  }

  start(): Promise<void> {
    if (this.ready) void this.#shutDown()
    return this.done
  }

  async #shutDown(): Promise<void> {
    const { delay } = this.#settings
    if (delay > 0 && this.#isServing) {
      this.state = 'delay'
      await pause(delay, this.#forced.signal).catch(() => {})
    }
    this.state = 'closing'
    const deadline = new Deadline(this.#settings.grace, () => this.#force())
    await this.#closeAll()
    deadline.cancel()
    this.#end?.cancel()
    this.#close()
  }

  // A server that does not listen gets no requests.
  get #isServing(): boolean {
    const { servers } = this.#settings
    return servers.length === 0 || servers.some(({ listening }) => listening)
  }

  async #closeAll(): Promise<void> {
    const { servers, hubs, runs, grace, retry, onShutdown, onClosed } = this.#settings
    for (const server of servers.length > 0 ? servers : [undefined])
      refuseStreams(server, retry || REFUSAL_RETRY)
    const closing = [
      this.#attempt(onShutdown),
      ...this.#connections.map((each) => each.close(grace)),
      this.#moveStreams(),
      ...runs.map((each) => this.#attempt(() => each.shutdown({ grace, retry }))),
    ]
    if (this.#forced.signal.aborted) this.#destroy()
    await Promise.all(closing)
    await this.#attempt(onClosed)
    await Promise.all(hubs.map((hub) => this.#attempt(() => hub.shutdown({ grace: 0 }))))
  }

  async #moveStreams(): Promise<void> {
    const { hubs, runs, spread, grace, retry } = this.#settings
    await Promise.all(hubs.map((hub) => hub._closeStreams({ spread, grace: grace - spread, retry })))
    // Channels are stopped last, because events are still sent to open streams.
    for (const each of runs) each._stopChannels?.()
  }

  #force(): void {
    this.#forced.abort()
    if (this.state === 'closing') this.#destroy()
  }

  #destroy(): void {
    this.#end ??= new Deadline(END_TIME, () => this.#close())
    const now = { spread: 0, grace: 0, retry: this.#settings.retry }
    for (const connections of this.#connections) void connections.close(0)
    for (const hub of this.#settings.hubs) void hub._closeStreams(now)
    for (const runs of this.#settings.runs) void this.#attempt(() => runs.shutdown(now))
  }

  #close(): void {
    if (this.state === 'closed') return
    this.state = 'closed'
    this.#finish()
    this.#signals.end(this.#hasFailed)
  }

  async #attempt(work: () => unknown): Promise<void> {
    try {
      await work()
    } catch (error) {
      this.#hasFailed = true
      void this.#report(error)
    }
  }

  // An error of `onError` must not keep the process from ending.
  async #report(error: unknown): Promise<void> {
    try {
      await this.#settings.onError(error)
    } catch (failure) {
      console.error(failure)
    }
  }
}
