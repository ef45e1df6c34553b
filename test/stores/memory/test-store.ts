import { LogEntry } from '../../../src/stores/log-entry.ts'
import { MemoryStore, type MemoryStoreOptions } from '../../../src/stores/memory/memory-store.ts'
import { publicationOf } from '../../support/publication.ts'

/** A memory store to which a test publishes without a hub. */
export class TestStore extends MemoryStore {
  publish(...args: Parameters<typeof publicationOf>): Promise<string> {
    return this.append(publicationOf(...args))
  }
}

/** Returns an open store. */
export function openStore(
  options?: MemoryStoreOptions,
  onEntry: (entry: LogEntry) => void = () => {},
): TestStore {
  const store = new TestStore(options)
  store.open({ onEntry, onLoss: () => {} })
  return store
}

/**
 * Returns the bytes of an event with a text of some length, on a channel with a name of four characters or another one.
 */
export function footprintOf(length: number, channel = 'busy'): number {
  return new LogEntry('0123456789ab-1', publicationOf(channel, { data: 'x'.repeat(length) })).footprint
}

/** Returns a text of a length that nothing else has. */
export function textOf(length: number, number: number, character = 'x'): string {
  return JSON.parse(JSON.stringify(`${character.repeat(length - 8)}${String(number).padStart(8, '0')}`))
}
