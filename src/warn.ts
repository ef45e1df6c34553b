import { emitWarning } from './runtime.ts'

// Shared by the ES module and the CommonJS build of a process.
const WARNED = Symbol.for('spillway.warned')

/**
 * Emits a warning of the process with the type `SpillwayWarning`, unless one with this code was emitted before.
 * `docs/machine.md` lists the codes.
 */
export function warnOnce(code: `SPILLWAY_${string}`, message: string): void {
  const shared = globalThis as { [WARNED]?: Set<string> }
  shared[WARNED] ??= new Set()
  if (shared[WARNED].has(code)) return
  shared[WARNED].add(code)
  emitWarning(message, { type: 'SpillwayWarning', code })
}
