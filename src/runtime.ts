import type timers from 'node:timers'
import type util from 'node:util'

// Undefined on a runtime that is not compatible with Node.js. The edge runtime of Next has a `process` without
// `versions`, whose functions throw.
const node = globalThis.process?.versions?.node === undefined ? undefined : globalThis.process

/**
 * Returns a module of Node.js, or undefined on a runtime without it. It is not imported, because an edge runtime
 * rejects a program that names a missing module.
 */
export function builtinModule<T>(name: string): T | undefined {
  return node?.getBuiltinModule?.(name) as T | undefined
}

/**
 * Calls back after the sockets were read. Undefined on an edge runtime, which has no such function, or one that throws.
 */
// Captured at load, so that fake timers of a test do not replace it. Jest's jsdom environment has no global one.
export const setNodeImmediate: ((work: () => void) => unknown) | undefined =
  node && (globalThis.setImmediate ?? builtinModule<typeof timers>('node:timers')?.setImmediate)

/** The decoder of the runtime. Jest's jsdom environment has no global one. */
export const Decoder = (globalThis.TextDecoder ??
  builtinModule<typeof util>('node:util')?.TextDecoder) as typeof TextDecoder

/** Emits a warning of the process. Does nothing on a runtime without warnings. */
export function emitWarning(
  message: string,
  options: { readonly type: string; readonly code: string },
): void {
  node?.emitWarning?.(message, options)
}
