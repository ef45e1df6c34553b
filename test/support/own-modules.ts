import { vi } from 'vitest'

// Setup of the unit and property tests, whose files share threads. Each file evaluates the modules that it imports
// again, because the clock of all streams and a few other modules have state.
vi.resetModules()

// The state that several copies of the library share.
for (const name of Object.getOwnPropertySymbols(globalThis))
  if (name.description?.startsWith('spillway.')) Reflect.deleteProperty(globalThis, name)

// Node.js 25 and later have it. The client keeps the chosen transport there.
const { sessionStorage } = globalThis as { sessionStorage?: { clear(): void } }
sessionStorage?.clear()
