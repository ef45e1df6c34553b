import { deepEqual, equal, ok, rejects, throws } from 'node:assert/strict'
import { type Cases, numbers } from './opened-store.ts'

// More events than a small store keeps.
const MANY = 300

const isSseError = (error: Error) => /^ERR_SSE_/.test((error as Error & { code?: string }).code ?? '')

/** The tests of a store that is opened, full or closed. */
export const STATES: Cases = {
  async 'throws ERR_SSE_OPTION if it is opened again'({ store }) {
    const listener = { onEntry() {}, onLoss() {} }
    throws(() => store.open(listener), { code: 'ERR_SSE_OPTION' })
  },
  async 'has no ready once it can be read'({ store }) {
    equal(store.ready, undefined)
  },
  async 'returns a gap for a position after which entries were evicted'(opened) {
    const { store } = opened
    const first = await opened.append('a', 0)
    await Promise.all(numbers(1, MANY).map((i) => opened.append('a', i)))
    await opened.received(MANY)
    const missed = await opened.readAll(['a'], first, 100)
    if (missed[0] !== 'gap') deepEqual(missed, numbers(1, MANY))
    if (!store.history) return
    const { after, isIncomplete } = await store.history(['a'], Number.POSITIVE_INFINITY)
    const kept = await opened.readAll(['a'], after, 100)
    deepEqual(kept, numbers(MANY - kept.length, MANY))
    ok(isIncomplete || kept.length === MANY, 'A history without evicted entries states that it is complete.')
  },
  async 'returns a gap after it is closed'(opened) {
    const first = await opened.append('a', 1)
    await opened.append('a', 2)
    await opened.received(2)
    await opened.close()
    equal(await opened.store.read(['a'], first, 10), 'gap')
  },
  async 'stores an event or rejects with an SseError after it is closed'(opened) {
    await opened.close()
    const outcome = opened.append('a', 1)
    await outcome.catch(() => rejects(outcome, isSseError))
  },
}
