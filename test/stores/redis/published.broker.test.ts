import { describe, expect, it, onTestFinished } from 'vitest'
import { Hub } from '../../../src/hub/hub.ts'
import { redisStore } from '../../../src/stores/redis/index.ts'
import { publishedContract } from '../../hub/published-contract.ts'
import { eventsOf } from '../../support/hub.ts'
import { key, nodeRedis, openHub, openPubSub } from '../../support/redis-hub.ts'
import { fakeStream } from '../../support/streams.ts'

// Without entries in memory, a replay reads them from Redis.
publishedContract('Redis Streams', () => openHub({ recentEvents: 1 }))
publishedContract('Redis Pub/Sub', () => openPubSub())

describe('the idempotency keys of two streams', () => {
  it('are independent if the streams have the same hash tag', async () => {
    const [plain, tagged] = [openHub(), openHub({ key: `{${key}}` })]
    const once = { idempotencyKey: 'once' }

    const first = await plain.channel('a').publish({ data: 1 }, once)
    // Otherwise, both streams may have the same id, which is a time in ms.
    await tagged.channel('a').publish({ data: 0 })
    const other = await tagged.channel('a').publish({ data: 2 }, once)

    expect(await plain.channel('a').publish({ data: 3 }, once)).toBe(first)
    expect(await tagged.channel('a').publish({ data: 4 }, once)).toBe(other)
    expect(other).not.toBe(first)
  })
})

describe('the option deserialize', () => {
  it('applies to events that a replay reads from Redis, of another process', async () => {
    const open = () => {
      const hub = new Hub({
        store: redisStore(nodeRedis(), { key, recentEvents: 1 }),
        serialize: (data) => `v1:${JSON.stringify(data)}`,
        deserialize: (text) => JSON.parse(text.slice(3)),
      })
      onTestFinished(() => hub.shutdown({ grace: 0 }))
      return hub
    }
    const publisher = open()
    const start = await publisher.channel('a').publish({ data: 0 })
    for (let n = 1; n < 6; n++) await publisher.channel('a').publish({ data: { n } })

    const { stream, transport } = fakeStream({}, start)
    open().subscribe(stream, 'a', { filter: ({ data }) => data.n % 2 === 0 || data.n === 5 })

    await expect.poll(() => eventsOf(transport).length).toBe(3)
    expect(eventsOf(transport)).toEqual([2, 4, 5].map((n) => `message v1:{"n":${n}}`))
  })
})
