import type { Server } from 'node:net'
import { between, type Check, checkOptions, isBoolean, isFunction, MAX_TIME } from '../check-options.ts'
import { mustBe } from '../errors.ts'
import type { ShutdownOptions, ShutdownSettings } from './graceful-close.ts'
import { isServer } from './server-closer.ts'

/** A hub, whose streams are closed first and whose store is closed last. */
export interface ShutdownHub {
  /** @internal */
  _closeStreams(settings: ShutdownSettings): Promise<void>
  shutdown(options?: ShutdownOptions): Promise<void>
}

/** Runs, whose sources may end by themselves until the end of the grace. */
export interface ShutdownRuns {
  /** @internal */
  _stopChannels?(): void
  shutdown(options?: ShutdownOptions): Promise<void>
}

/** What to close, when, and in which time. Times are integers in ms. */
export interface GracefulShutdownOptions {
  /**
   * The server of `node:http`, `node:https` or `node:http2`, or a list. MUST NOT have accepted a connection yet. Without it,
   * for example on Next, all streams of the process are refused, and connections end as their clients use them again.
   */
  server?: Server | readonly Server[] | undefined
  /** The hubs whose streams move to other processes. Default: none. */
  hub?: ShutdownHub | readonly ShutdownHub[] | undefined
  /** The runs whose sources may finish. Default: none. */
  runs?: ShutdownRuns | readonly ShutdownRuns[] | undefined
  /** The signals that start the shutdown. A second one ends everything at once. Default `['SIGTERM', 'SIGINT']`. */
  signals?: readonly NodeJS.Signals[] | undefined
  /** How long requests are still served as before while `ready` is false, for load balancers to notice. Default 0. */
  delay?: number | undefined
  /** How long it takes to close the streams of hubs, evenly one after the other. Default 5 000, or half of `grace`. */
  spread?: number | undefined
  /** How long responses may take to finish after `delay`. What is open afterwards is destroyed. Default 10 000. */
  grace?: number | undefined
  /** Reconnection time of the clients in ms. Each gets a random time from this to twice this. Default 2 000. */
  retry?: number | undefined
  /** Called when the streams begin to close. Stop the timers and consumers that publish. Awaited before `onClosed`. */
  onShutdown?: (() => unknown) | undefined
  /** Called when all streams and connections are closed, and before the stores of hubs and runs are. It is awaited. */
  onClosed?: (() => unknown) | undefined
  /** Called with errors of the functions above and of stores. Default `console.error`. */
  onError?: ((error: unknown) => unknown) | undefined
  /**
   * Whether a shutdown by a signal ends the process when everything is closed. Without a server, it ends by itself, or at the
   * end of the grace. Its exit code is 1 after an error. Default true.
   */
  exit?: boolean | undefined
}

export interface GracefulShutdownSettings {
  readonly servers: readonly Server[]
  readonly hubs: readonly ShutdownHub[]
  readonly runs: readonly ShutdownRuns[]
  readonly signals: readonly NodeJS.Signals[]
  readonly delay: number
  readonly spread: number
  readonly grace: number
  readonly retry: number
  readonly onShutdown: () => unknown
  readonly onClosed: () => unknown
  readonly onError: (error: unknown) => unknown
  readonly exit: boolean
}

const isTime = between(0, MAX_TIME)

const CHECKS: Readonly<Record<keyof GracefulShutdownOptions, Check>> = {
  server: (value) => (listOf(value).every(isServer) ? undefined : 'a server of node:http'),
  hub: (value) => (listOf(value).every(isHub) ? undefined : 'a Hub'),
  runs: (value) => (listOf(value).every(isRuns) ? undefined : 'a Runs'),
  signals: (value) =>
    // Node.js cannot listen for the last two.
    Array.isArray(value) && value.every((each) => /^SIG(?!KILL$|STOP$)[A-Z0-9]+$/.test(each))
      ? undefined
      : 'a list of signals',
  delay: isTime,
  spread: isTime,
  grace: isTime,
  retry: isTime,
  onShutdown: isFunction,
  onClosed: isFunction,
  onError: isFunction,
  exit: isBoolean,
}

/** Returns checked options with all defaults. Throws `SseError` `ERR_SSE_OPTION`. */
export function gracefulShutdownSettings(options: GracefulShutdownOptions): GracefulShutdownSettings {
  const { server, hub, runs, ...given } = checkOptions<GracefulShutdownOptions>(options, CHECKS)
  const grace = given.grace ?? 10_000
  const { spread = Math.min(5_000, Math.floor(grace / 2)) } = given
  if (spread > grace) mustBe('at most the grace', 'ERR_SSE_OPTION', 'Option spread', spread)
  return {
    ...{ signals: ['SIGTERM', 'SIGINT'], delay: 0, retry: 2_000, exit: true },
    ...{ onShutdown: () => {}, onClosed: () => {}, onError: console.error },
    ...given,
    ...{ servers: listOf(server), hubs: listOf(hub), runs: listOf(runs), spread, grace },
  }
}

function listOf<T>(value: T | readonly T[] | undefined): readonly T[] {
  return value === undefined ? [] : ([value].flat() as T[])
}

function isHub(value: unknown): boolean {
  return isRuns(value) && typeof (value as Partial<ShutdownHub>)._closeStreams === 'function'
}

function isRuns(value: unknown): boolean {
  return typeof (Object(value) as Partial<ShutdownRuns>).shutdown === 'function'
}
