import { Hub } from 'spillway'

// Next loads a module once per bundle that contains it, and in development again after each change. The hub is kept on
// `globalThis`, so that all routes of the process share one.
const shared = globalThis as typeof globalThis & { hub?: Hub }
shared.hub ??= new Hub()

export const hub = shared.hub
