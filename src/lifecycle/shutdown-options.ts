import type { Server } from 'node:net'
import type { constants } from 'node:os'
import { type Check, checkOptions, isBoolean, isFunction, isTime } from '../check-options.ts'
import { mustBe, SseError } from '../errors.ts'
import { builtinModule } from '../runtime.ts'
import type { ShutdownOptions, ShutdownSettings } from './graceful-close.ts'
import { isServer } from './server-closer.ts'

/** A hub, whose streams are closed first and whose store is closed last. */
export interface ShutdownHub {
  /** @internal */
  _closeStreams(settings: ShutdownSettings): Promise<void>
  shutdown(options?: ShutdownOptions): Promise<void>
}

/** Runs, whose sources may end before the end of the grace period. */
export interface ShutdownRuns {
  /** @internal */
  _stopChannels?(): void
  shutdown(options?: ShutdownOptions): Promise<void>
}

/** Options of a shutdown. Times are integers in ms. */
export interface GracefulShutdownOptions {
  /**
   * The server of `node:http`, `node:https` or `node:http2`, or a list. MUST NOT have accepted a connection yet.
   * Without it, for example on Next, all streams of the process are refused, and connections end as their clients use
   * them again.
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
  /**
   * How long responses may take to finish after `delay`. Open responses and streams are then destroyed. Default 10 000.
   */
  grace?: number | undefined
  /** Reconnection time of the clients in ms. Each gets a random time from this to twice this. Default 2 000. */
  retry?: number | undefined
  /** Called when the streams begin to close. Stop the timers and consumers that publish. Awaited before `onClosed`. */
  onShutdown?: (() => unknown) | undefined
  /**
   * Called when all streams and connections are closed, before the stores of hubs and runs are closed. It is awaited.
   */
  onClosed?: (() => unknown) | undefined
  /** Called with errors of the functions above and of stores. Default `console.error`. */
  onError?: ((error: unknown) => unknown) | undefined
  /**
   * Whether a shutdown by a signal ends the process when everything is closed. Without a server, the process ends by
   * itself, or at the end of the grace. Its exit code is 1 after an error. Default true.
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

const CHECKS: Readonly<Record<keyof GracefulShutdownOptions, Check>> = {
  server: (value) => (listOf(value).every(isServer) ? undefined : 'a server of node:http'),
  hub: (value) => (listOf(value).every(isHub) ? undefined : 'a Hub'),
  runs: (value) => (listOf(value).every(isRuns) ? undefined : 'a Runs'),
  signals: checkSignals,
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
  checkNoOption(options)
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

function checkSignals(value: unknown): string | undefined {
  if (!Array.isArray(value)) return 'a list of signals'
  const { signals } = builtinModule<{ constants: typeof constants }>('node:os')?.constants ?? {}
  for (const [at, each] of value.entries()) {
    // Node.js cannot listen for the first two. Only some platforms have the others.
    const isKnown =
      !/^SIG(KILL|STOP)$/.test(each) &&
      (/^SIG(BREAK|QUIT|USR[12])$/.test(each) || !signals || each in signals)
    if (!isKnown) mustBe('a signal such as SIGTERM', 'ERR_SSE_OPTION', `Option signals[${at}]`, each)
  }
  return undefined
}

/** Throws `SseError` `ERR_SSE_OPTION` for the value of an option in place of the options. */
function checkNoOption(options: unknown): void {
  const hub = isHub(options) ? 'hub' : undefined
  const name = isServer(options) ? 'server' : (hub ?? (isRuns(options) ? 'runs' : undefined))
  if (!name) return
  const message = `Pass a ${name === 'runs' ? 'Runs' : name} as an option, for example gracefulShutdown({ ${name} }).`
  throw new SseError('ERR_SSE_OPTION', message)
}

function listOf<T>(value: T | readonly T[] | undefined): readonly T[] {
  return value === undefined ? [] : ([value].flat() as T[])
}

function isHub(value: unknown): boolean {
  const { shutdown, _closeStreams } = Object(value) as Partial<ShutdownHub>
  return typeof shutdown === 'function' && typeof _closeStreams === 'function'
}

function isRuns(value: unknown): boolean {
  return typeof (Object(value) as Partial<ShutdownRuns>).shutdown === 'function' && !isHub(value)
}
