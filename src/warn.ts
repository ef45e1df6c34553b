import { emitWarning } from './runtime.ts'

// Shared by the ES module and the CommonJS build of a process.
const WARNED = Symbol.for('spillway.warned')

/** Returns true for the first call with a code in a process. */
export function isFirst(code: string): boolean {
  const shared = globalThis as { [WARNED]?: Set<string> }
  shared[WARNED] ??= new Set()
  return shared[WARNED].size < shared[WARNED].add(code).size
}

/**
 * Emits a warning of the process with the type `SpillwayWarning`, unless one with this code was emitted before.
 * `docs/machine.md` lists the codes.
 */
export function warnOnce(code: `SPILLWAY_${string}`, message: string): void {
  if (isFirst(code)) emitWarning(message, { type: 'SpillwayWarning', code })
}
