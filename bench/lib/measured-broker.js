import { readFileSync } from 'node:fs'
import { createClient } from 'redis'
import { freePort, launchNats, launchRedis } from '../../support/broker.js'

// Ticks of the kernel clock per second, which is 100 on every current Linux.
const TICKS = 100

const launchers = { Redis: launchMeasuredRedis, JetStream: launchMeasuredNats }

/**
 * Starts a Redis and a NATS server whose commands and messages can be counted. Their addresses are in the environment.
 */
export async function launchBrokers() {
  const [Redis, JetStream] = await Promise.all([launchMeasuredRedis(), launchMeasuredNats()])
  process.env.REDIS_URL = Redis.url
  process.env.NATS_URL = JetStream.url
  return { Redis, JetStream, end: () => Promise.all([Redis.end(), JetStream.end()]) }
}

/** Starts one broker by its name, `Redis` or `JetStream`. Redis accepts further arguments. */
export function launchBroker(name, ...args) {
  return launchers[name](...args)
}

async function launchMeasuredRedis(...args) {
  const broker = await launchRedis(...args)
  const url = `redis://127.0.0.1:${broker.port}`
  const client = createClient({ url })
  client.on('error', () => {})
  await client.connect()
  const statOf = async (name) => Number(new RegExp(`${name}:(\\d+)`).exec(await client.info('stats'))?.[1])
  return {
    ...measured(broker, url),
    counts: () => commandsOf(client),
    bytesOut: () => statOf('total_net_output_bytes'),
    /** Returns the memory that the data and the connections occupy, in bytes. */
    memory: async () => Number(/used_memory:(\d+)/.exec(await client.info('memory'))?.[1]),
    // The normal clients of Redis have no limit of unread replies.
    slowConsumers: () => 0,
    async end() {
      client.destroy()
      await broker.end()
    },
  }
}

async function launchMeasuredNats() {
  const monitor = await freePort()
  const broker = await launchNats(`http: "127.0.0.1:${monitor}"\njetstream: {}`)
  const varz = async () => (await fetch(`http://127.0.0.1:${monitor}/varz`)).json()
  return {
    ...measured(broker, `127.0.0.1:${broker.port}`),
    /** Returns the messages to and from the server. They include its statistics, which it sends once a second. */
    async counts() {
      const { in_msgs, out_msgs } = await varz()
      return { in: in_msgs, out: out_msgs }
    },
    bytesOut: async () => (await varz()).out_bytes,
    slowConsumers: async () => (await varz()).slow_consumers,
    end: () => broker.end(),
  }
}

function measured(broker, url) {
  return {
    url,
    pid: () => broker.pid,
    cpu: () => cpuOf(broker.pid),
    start: () => broker.start(),
    stop: () => broker.stop(),
  }
}

/** Returns the CPU time of a process, user and system, in µs. */
export function cpuOf(pid) {
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
