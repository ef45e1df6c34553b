import { describe, expect, it } from 'vitest'
import { publishedContract } from '../../hub/published-contract.ts'
import { key, openHub, openPubSub } from '../../support/redis-hub.ts'

// Without entries in memory, a replay reads them from Redis.
publishedContract('Redis Streams', () => openHub({ recentEvents: 1 }))
publishedContract('Redis Pub/Sub', () => openPubSub())

describe('the idempotency keys of two streams', () => {
  it('are independent if the streams have the same hash tag', async () => {
    const [plain, tagged] = [openHub(), openHub({ key: `{${key}}` })]
    const once = { idempotencyKey: 'once' }

    const first = await plain.channel('a').publish({ data: 1 }, once)
    const other = await tagged.channel('a').publish({ data: 2 }, once)

    expect(await plain.channel('a').publish({ data: 3 }, once)).toBe(first)
    expect(await tagged.channel('a').publish({ data: 4 }, once)).toBe(other)
    expect(other).not.toBe(first)
  })
})
