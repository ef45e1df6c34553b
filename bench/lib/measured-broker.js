import { readFileSync } from 'node:fs'
import { createClient } from 'redis'
import { freePort, launchNats, launchRedis } from '../../support/broker.js'

// Ticks of the kernel clock per second, which is 100 on every current Linux.
const TICKS = 100

/** Starts a Redis and a NATS server whose commands and messages can be counted. Their addresses are in the environment. */
export async function launchBrokers() {
  const monitor = await freePort()
  const [redis, nats] = await Promise.all([
    launchRedis(),
    launchNats(`http: "127.0.0.1:${monitor}"\njetstream: {}`),
  ])
  process.env.REDIS_URL = `redis://127.0.0.1:${redis.port}`
  process.env.NATS_URL = `127.0.0.1:${nats.port}`
  const client = createClient({ url: process.env.REDIS_URL })
  await client.connect()
  return {
    Redis: { cpu: () => cpuOf(redis.pid), counts: () => commandsOf(client) },
    JetStream: { cpu: () => cpuOf(nats.pid), counts: () => messagesOf(monitor) },
    async end() {
      client.destroy()
      await Promise.all([redis.end(), nats.end()])
    },
  }
}

/** Returns the CPU time of a process, user and system, in µs. */
function cpuOf(pid) {
  const fields = readFileSync(`/proc/${pid}/stat`, 'latin1').split(') ')[1].split(' ')
  return ((Number(fields[11]) + Number(fields[12])) * 1e6) / TICKS
}

/** Returns how often each command was called, without the command that reads these counts. */
async function commandsOf(client) {
  const stats = await client.info('commandstats')
  const counts = [...stats.matchAll(/cmdstat_([^:]+):calls=(\d+)/g)].map(([, name, calls]) => [
    name,
    Number(calls),
  ])
  return Object.fromEntries(counts.filter(([name]) => name !== 'info'))
}

/** Returns the messages to and from the server. They include its statistics, which it sends once a second. */
async function messagesOf(monitor) {
  const response = await fetch(`http://127.0.0.1:${monitor}/varz`)
  const { in_msgs, out_msgs } = await response.json()
  return { in: in_msgs, out: out_msgs }
}
