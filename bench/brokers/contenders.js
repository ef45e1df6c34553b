import { connect } from '@nats-io/transport-node'
import { createChannel } from 'better-sse'
import { createClient } from 'redis'
import { Hub } from 'spillway'
import { jetstreamStore } from 'spillway/nats'
import { redisStore } from 'spillway/redis'
import { followBetterSse, followChannel } from '../lib/topics.js'

// One topic over several processes: each of them publishes to the broker, and serves who follows what comes from there.

const NAME = 'price'
const { REDIS_URL, NATS_URL } = process.env

async function byHub(log) {
  const channel = new Hub({ store: log }).channel('prices')
  await log.ready
  return {
    createServer: followChannel(channel),
    publish: (data) => channel.publish({ event: NAME, data }),
  }
}

/** Several logs in one process: to the broker they are as many processes. */
async function byHubs(count, open) {
  const [log, ...others] = await Promise.all(Array.from({ length: count }, open))
  for (const other of others) new Hub({ store: other })
  await Promise.all(others.map(({ ready }) => ready))
  return byHub(log)
}

// As it is written by hand: no history, and a client that comes back has missed what was published meanwhile.
async function byBridge() {
  const channel = createChannel()
  const [publisher, subscriber] = [createClient({ url: REDIS_URL }), createClient({ url: REDIS_URL })]
  await Promise.all([publisher.connect(), subscriber.connect()])
  await subscriber.subscribe('prices', (text) => channel.broadcast(JSON.parse(text), NAME))
  return {
    createServer: followBetterSse(channel),
    publish: (data) => publisher.publish('prices', JSON.stringify(data)),
  }
}

const openRedis = (options) => redisStore(createClient({ url: REDIS_URL }), options)
const openJetStream = async (options) => jetstreamStore(await connect({ servers: NATS_URL }), options)

export const contenders = {
  'spillway, Redis': () => byHub(openRedis()),
  'spillway, JetStream': async () => byHub(await openJetStream()),
  'better-sse, Pub/Sub': byBridge,

  // Who comes back from further than that is served by the broker.
  'spillway, Redis, old': () => byHub(openRedis({ recentEvents: 20 })),
  'spillway, JetStream, old': async () => byHub(await openJetStream({ recentEvents: 20 })),

  '10 x spillway, Redis': () => byHubs(10, () => openRedis()),
  '50 x spillway, Redis': () => byHubs(50, () => openRedis()),
  '10 x spillway, JetStream': () => byHubs(10, () => openJetStream()),
  '50 x spillway, JetStream': () => byHubs(50, () => openJetStream()),
}
