import { describe, expect, test, vi } from 'vitest'
import { MemoryRuns } from '../../src/stores/memory/memory-runs.ts'
import { closed, openRuns, PushSource, runEventsOf } from '../support/runs.ts'
import { fakeStream, settled } from '../support/streams.ts'

// Longer than a test.
const LONG = 10_000

/** Starts a run whose source is pushed, with a subscriber. Collects the data of each batch. */
async function startRun(flushInterval: number) {
  const store = new MemoryRuns()
  const append = vi.spyOn(store, 'append')
  const runs = openRuns({ store, flushInterval })
  const source = new PushSource()
  await runs.start('a', (signal) => source.read(signal))
  const { stream, transport } = fakeStream()
  await runs.subscribe(stream, 'a')
  const batches = () => append.mock.calls.map(([, , { events }]) => events.map(({ data }) => data))
  return { runs, source, stream, transport, batches }
}

describe('flushInterval', () => {
  test('appends together the events that the source yields within it, except the first one', async () => {
    const { source, stream, transport, batches } = await startRun(LONG)
    for (const word of ['a', 'b', 'c']) {
      source.push(word)
      await settled()
    }
    expect(batches()).toEqual([['a']])
    source.end()
    await closed(stream)
    expect(batches()).toEqual([['a'], ['b', 'c'], ['{"reason":"done"}']])
    expect(runEventsOf(transport).slice(0, 3)).toEqual(['message a', 'message b', 'message c'])
  })

  test('appends when it has passed', async () => {
    const { source, batches } = await startRun(5)
    source.push('a')
    await settled()
    source.push('b')
    await vi.waitFor(() => expect(batches().flat()).toEqual(['a', 'b']))
  })

  test('does not delay the end of a run that is stopped', async () => {
    const { runs, source, transport, stream } = await startRun(LONG)
    for (const word of ['a', 'b']) {
      source.push(word)
      await settled()
    }
    await runs.stop('a')
    await closed(stream)
    expect(runEventsOf(transport)).toEqual(['message a', 'message b', 'end {"reason":"stopped"}'])
  })

  test('does not delay a source that has yielded too much to wait for', async () => {
    const { source, batches } = await startRun(LONG)
    source.push('a')
    await settled()
    source.push('x'.repeat(16 * 1024), 'b')
    await vi.waitFor(() => expect(batches()).toHaveLength(2))
  })

  test.each([-1, 10_001, '5', Number.NaN])('of %j is refused', (flushInterval) => {
    expect(() => openRuns({ flushInterval: flushInterval as never })).toThrow('flushInterval')
  })
})
