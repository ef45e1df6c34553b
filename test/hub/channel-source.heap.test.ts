import { describe, expect, test } from 'vitest'
import { Hub } from '../../src/hub/hub.ts'
import { collectGarbage, countHeld } from '../support/garbage.ts'
import { endlessSource } from '../support/runs.ts'
import { fakeStream, settled } from '../support/streams.ts'

describe('a source of a channel', () => {
  test('is kept while its channel object is referenced, and of the others the last 10 000', async () => {
    const hub = new Hub()
    const kept = endlessSource()
    const channel = hub.channel('kept', { source: kept })
    const { stream } = fakeStream()
    const sources = Array.from({ length: 10_002 }, (_, number) => {
      const source = () => []
      hub.channel(`${number}`, { source, linger: 0 }).subscribe(stream)()
      return new WeakRef(source)
    })
    // The timers of the sources.
    await new Promise((resolve) => setTimeout(resolve))
    await settled()
    expect(await countHeld(sources.slice(0, 2))).toBe(0)
    expect([sources[2]?.deref(), sources[10_001]?.deref()]).not.toContain(undefined)
    hub.subscribe(fakeStream().stream, 'kept')
    await settled()
    expect(kept).toHaveBeenCalledTimes(1)
    expect(channel.size).toBe(1)
    await hub.shutdown({ grace: 0 })
  })

  test('is that of another channel object after the first one was discarded', async () => {
    const hub = new Hub()
    hub.channel('a', { source: () => [] })
    const source = endlessSource()
    const a = hub.channel('a', { source })
    for (let number = 0; number < 10_000; number++) hub.channel(`${number}`, { source: () => [] })
    await settled()
    collectGarbage()
    a.subscribe(fakeStream().stream)
    await settled()
    expect(source).toHaveBeenCalledTimes(1)
    await hub.shutdown({ grace: 0 })
  })
})
