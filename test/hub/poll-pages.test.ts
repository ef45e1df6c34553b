import { describe, expect, it } from 'vitest'
import { resolveOptions } from '../../src/http/options.ts'
import { settingsFor } from '../../src/http/representation.ts'
import { Hub } from '../../src/hub/hub.ts'
import { memoryStore } from '../../src/stores/memory/memory-store.ts'
import { SseStream } from '../../src/stream/stream.ts'
import { holdClock } from '../../src/testing/hold-clock.ts'
import { WholeWebBody } from '../../src/transports/whole-web-body.ts'
import { SlowStore } from '../support/slow-store.ts'

const options = { formats: ['event-stream', 'json'], longPoll: { pageSize: 50 } } as const

/** Opens a long poll after an id. Resolves with its lines. */
function poll(hub: Hub, lastEventId: string): Promise<string[]> {
  return new Promise((resolve) => {
    const settings = settingsFor(resolveOptions(options), undefined, '/?format=json')
    const transport = new WholeWebBody((body) =>
      resolve(
        String(Buffer.concat([...(body ?? [])]))
          .trim()
          .split('\n'),
      ),
    )
    if (!settings) throw new Error('The format was not chosen.')
    hub.subscribe(SseStream._open(transport, settings, { id: lastEventId }), 'news')
  })
}

describe('a page of missed events', () => {
  it('is full even if the store takes longer than events are collected', async () => {
    using time = holdClock()
    const store = new SlowStore(memoryStore() as never, 5, 10)
    const hub = new Hub({ store })
    const ids: string[] = []
    for (let index = 0; index < 200; index++) ids.push(await hub.channel('news').publish({ data: index }))
    const page = poll(hub, ids[0] as string)
    const advance = setInterval(() => void time.advance(200), 0)
    const lines = await page
    clearInterval(advance)
    expect(lines.length).toBeGreaterThanOrEqual(50)
    expect(JSON.parse(lines[0] as string).id).toBe(ids[1])
  })
})
