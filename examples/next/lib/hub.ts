import { Hub } from 'spillway'

// Next loads a module once for each bundle that has it, and in development again after each change. What the routes of
// a process share has its place outside of modules.
const shared = globalThis as typeof globalThis & { hub?: Hub }
shared.hub ??= new Hub()

export const hub = shared.hub
