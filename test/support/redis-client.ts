import type { RedisClient } from '../../src/stores/redis/index.ts'

/** Returns a function that opens a client once. Stores may share a client, and `redis` takes tens of ms for each. */
export function sharedClient(open: () => RedisClient): () => RedisClient {
  let client: RedisClient | undefined
  return () => {
    client ??= open()
    return client
  }
}
