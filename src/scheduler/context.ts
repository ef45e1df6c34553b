import type { AsyncLocalStorage } from 'node:async_hooks'
import { builtinModule } from '../runtime.ts'

const hooks = builtinModule<{ AsyncLocalStorage: typeof AsyncLocalStorage }>('node:async_hooks')

/**
 * Calls a function in the async context in which the library was loaded, which belongs to no request. Otherwise, work
 * that several streams share runs in the context of the request that started it. The listeners of the other streams do
 * so too.
 */
export const outsideRequests: <T extends unknown[], R>(work: (...args: T) => R, ...args: T) => R =
  hooks?.AsyncLocalStorage.snapshot?.() ?? ((work, ...args) => work(...args))
