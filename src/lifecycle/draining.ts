import type { AsyncLocalStorage } from 'node:async_hooks'
import { builtinModule } from '../runtime.ts'
import type { Refusal } from '../stream/refusal.ts'

/** The shutdowns of this process. */
interface Draining {
  /** The servers that refuse streams, with the minimum reconnection time of refused clients in ms. */
  readonly servers: WeakMap<object, number>
  /** The minimum for all streams of the process. Undefined unless a shutdown without a server has begun. */
  everywhere: number | undefined
  /** The server of the present request. It is set only once that server refuses streams. */
  readonly requests: Pick<AsyncLocalStorage<object>, 'getStore' | 'enterWith'> | undefined
  /** How many shutdowns delay the exit of the process. */
  exits: number
  /** The earliest time of the exit, as of `performance.now`. */
  exitsAt: number
}

// A registered symbol, because the ES module and the CommonJS build may both be loaded.
const DRAINING = Symbol.for('spillway.draining')

function draining(): Draining {
  const shared = globalThis as { [DRAINING]?: Draining }
  shared[DRAINING] ??= {
    ...{ servers: new WeakMap(), everywhere: undefined, requests: requestStorage() },
    ...{ exits: 0, exitsAt: 0 },
  }
  return shared[DRAINING]
}

// Stores the server of a request, because a web request has no reference to it.
function requestStorage(): AsyncLocalStorage<object> | undefined {
  const hooks = builtinModule<{ AsyncLocalStorage: typeof AsyncLocalStorage }>('node:async_hooks')
  return hooks?.AsyncLocalStorage && new hooks.AsyncLocalStorage<object>()
}

/** Refuses all streams that begin on a server from now on. Without a server, this applies to the process. */
export function refuseStreams(server: object | undefined, retry: number): void {
  if (server) draining().servers.set(server, retry)
  else draining().everywhere = retry
}

/** Marks the present request of a server, so that a web stream that begins within it is refused. */
export function enterRequestOf(server: object): void {
  const { servers, requests } = draining()
  if (servers.has(server)) requests?.enterWith(server)
}

/** Returns how a Node.js request is refused because of a shutdown, or undefined. */
export function shutdownRefusalOf({ socket }: { readonly socket?: object | null }): Refusal | undefined {
  return refusalOn(Object(socket).server)
}

/** Returns the same for the present web request. */
export function webShutdownRefusal(): Refusal | undefined {
  return refusalOn(draining().requests?.getStore())
}

function refusalOn(server: unknown): Refusal | undefined {
  const { servers, everywhere } = draining()
  const retry = servers.get(Object(server)) ?? everywhere
  return retry === undefined ? undefined : { retry }
}

/**
 * Counts a shutdown that ends the process. The returned function is called at its end, with the earliest time at which
 * the process may exit. For the last shutdown, it returns the latest of these times.
 */
export function beginExit(): (earliest: number) => number | undefined {
  const state = draining()
  state.exits += 1
  return (earliest) => {
    state.exits -= 1
    state.exitsAt = Math.max(state.exitsAt, earliest)
    return state.exits === 0 ? state.exitsAt : undefined
  }
}
