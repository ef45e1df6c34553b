import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { Page } from '../../../src/stores/event-store.ts'
import { MemoryStore, type MemoryStoreOptions } from '../../../src/stores/memory/memory-store.ts'
import { publicationOf } from '../../support/publication.ts'
import { PlainStore } from '../plain-store.ts'

function openStore(options: MemoryStoreOptions): MemoryStore {
  const store = new MemoryStore(options)
  store.open({ onEntry: () => {}, onLoss: () => {} })
  return store
}

const data = (page: Page) => (page === 'gap' ? page : page.entries.map((entry) => entry.event.data))

describe('a memory store beside a plain one', () => {
  beforeEach(() => void vi.useFakeTimers())
  afterEach(() => void vi.useRealTimers())

  const CHANNELS = ['a', 'b', 'c']
  const QUIET = Array.from({ length: 20 }, (_, i) => `quiet ${i}`)
  const publish = fc.record({
    channel: fc.constantFrom(...CHANNELS),
    size: fc.oneof({ weight: 9, arbitrary: fc.nat(60) }, { weight: 1, arbitrary: fc.constant(3_000) }),
    conflate: fc.constantFrom(true, true, true, false),
    key: fc.constantFrom('k', 'l'),
    idempotencyKey: fc.option(fc.constantFrom('x', 'y'), { nil: undefined }),
  })
  const look = fc.record({ channels: fc.subarray(CHANNELS, { minLength: 1 }), wait: fc.nat(40) })
  const steps = fc.array(fc.oneof({ weight: 5, arbitrary: publish }, { weight: 1, arbitrary: look }), {
    maxLength: 80,
    size: 'max',
  })
  const maybe = (min: number, max: number) => fc.option(fc.integer({ min, max }), { nil: undefined, freq: 2 })
  const limits = fc.record({ maxEvents: maybe(1, 20), maxBytes: maybe(1_000, 12_000), maxAge: maybe(1, 200) })
  const options = fc.record({ limits, perChannel: limits, idempotencyWindow: maybe(1, 200) })

  it('returns the same pages, gaps and ids after any steps', async () => {
    await fc.assert(
      fc.asyncProperty(steps, options, async (steps, { limits, ...others }) => {
        const settings = { ...limits, ...others }
        const stores = [openStore(settings), new PlainStore(settings)] as const
        const positions = [stores.map(({ position }) => position)]
        // Each `expect` takes longer than a page, so that all pages are compared at once.
        const pagesOf = (store: 0 | 1, channels: string[]) =>
          positions.map((position) =>
            [1000, 2].map((limit) => data(stores[store].read(channels, position[store] as string, limit))),
          )
        const compare = (channels: string[]) => {
          const expected = pagesOf(1, channels)
          expect(pagesOf(0, channels)).toEqual(expected)
          expect(pagesOf(0, [...QUIET, ...channels])).toEqual(expected)
        }
        for (const [i, step] of steps.entries()) {
          if ('wait' in step) {
            compare(step.channels)
            vi.advanceTimersByTime(step.wait)
            continue
          }
          const { channel, key, size, ...more } = step
          const publication = publicationOf(channel, { key, data: `${i}${'x'.repeat(size)}` }, more)
          const ids = [await stores[0].append(publication), await stores[1].append(publication)]
          positions.push(ids)
          expect(ids.map((id) => id.split('-')[1])).toEqual(Array(2).fill(ids[0]?.split('-')[1]))
        }
        for (const channels of [['a'], ['c', 'b'], CHANNELS]) compare(channels)
      }),
      { numRuns: Number(process.env.PROPERTY_RUNS ?? 100) },
    )
    // With many runs, it takes longer on a busy machine than other tests may.
  }, 300_000)
})
