// The edge runtime of Next has a `process` without `versions`, whose functions throw.
const node = globalThis.process?.versions?.node === undefined ? undefined : globalThis.process

/** Whether the program runs on Node.js or on a runtime that is compatible with it. */
export const isNode = node !== undefined

/**
 * Returns a module of Node.js, or undefined on a runtime without it. It is not imported, because an edge runtime
 * rejects a program that names a missing module.
 */
export function builtinModule<T>(name: string): T | undefined {
  return node?.getBuiltinModule?.(name) as T | undefined
}

/** Emits a warning of the process. Does nothing on a runtime without warnings. */
export function emitWarning(
  message: string,
  options: { readonly type: string; readonly code: string },
): void {
  node?.emitWarning?.(message, options)
}
