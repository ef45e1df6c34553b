import { createClient } from 'redis'
import { redisStore } from 'spillway/redis'

/**
 * Returns a store on a Redis. Commands have a minute, because a busy machine may take longer than the default of 5 s.
 */
export function createStore(port, key) {
  const client = createClient({ url: `redis://127.0.0.1:${port}`, commandOptions: { timeout: 60_000 } })
  return redisStore(client, { key, publishTimeout: 60_000 })
}
