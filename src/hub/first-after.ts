import type { EventStore } from '../stores/event-store.ts'

/** The id of the first entry of some channels after a place. Undefined: there is none. */
export async function firstAfter(
  log: EventStore,
  place: string,
  channels: readonly string[],
): Promise<string | 'gap' | undefined> {
  for (let after = place; ; ) {
    const answer = log.read(channels, after, 1)
    const page = await answer
    if (page === 'gap') return 'gap'
    // Answered at once: nothing is left.
    if (page.entries[0] || page === answer) return page.entries[0]?.id
    after = page.upTo
  }
}
