import { createClient } from 'redis'
import { redisLog } from 'spillway/redis'

const { BROKER_PORT } = process.env

/** The log of this process on the broker that the run has started. */
export async function openLog(port = BROKER_PORT) {
  const client = createClient({ url: `redis://127.0.0.1:${port}` })
  client.on('error', () => {})
  return redisLog(client, { key: 'chaos', publishTimeout: 30_000, maxEntries: 1_000_000 })
}
