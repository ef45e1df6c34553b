import { connect } from '@nats-io/transport-node'
import { createChannel } from 'better-sse'
import { createClient } from 'redis'
import { Hub } from 'spillway'
import { jetstreamStore } from 'spillway/nats'
import { redisStore } from 'spillway/redis'
import { subscribeBetterSse, subscribeChannel } from '../lib/topics.js'

// One topic over several processes. Each process can publish to the broker, and sends the events from the broker to its
// clients.

const NAME = 'price'
const { REDIS_URL, NATS_URL } = process.env

async function byHub(store) {
  const channel = new Hub({ store }).channel('prices')
  await store.ready
  return {
    createServer: subscribeChannel(channel),
    publish: (data) => channel.publish({ event: NAME, data }),
  }
}

/** Opens several stores in one process. The broker sees as many processes. */
async function byHubs(count, open) {
  const [store, ...others] = await Promise.all(Array.from({ length: count }, open))
  for (const other of others) new Hub({ store: other })
  await Promise.all(others.map(({ ready }) => ready))
  return byHub(store)
}

// Code as users write it without a library. It has no history, so a client that reconnects has missed events.
async function byBridge() {
  const channel = createChannel()
  const [publisher, subscriber] = [createClient({ url: REDIS_URL }), createClient({ url: REDIS_URL })]
  await Promise.all([publisher.connect(), subscriber.connect()])
  await subscriber.subscribe('prices', (text) => channel.broadcast(JSON.parse(text), NAME))
  return {
    createServer: subscribeBetterSse(channel),
    publish: (data) => publisher.publish('prices', JSON.stringify(data)),
  }
}

const openRedis = (options) => redisStore(createClient({ url: REDIS_URL }), options)
const openJetStream = async (options) => jetstreamStore(await connect({ servers: NATS_URL }), options)

export const contenders = {
  'spillway, Redis': () => byHub(openRedis()),
  'spillway, JetStream': async () => byHub(await openJetStream()),
  'better-sse, Pub/Sub': byBridge,

  // A client that resumes further back reads from the broker.
  'spillway, Redis, old': () => byHub(openRedis({ recentEvents: 20 })),
  'spillway, JetStream, old': async () => byHub(await openJetStream({ recentEvents: 20 })),

  '10 x spillway, Redis': () => byHubs(10, () => openRedis()),
  '50 x spillway, Redis': () => byHubs(50, () => openRedis()),
  '10 x spillway, JetStream': () => byHubs(10, () => openJetStream()),
  '50 x spillway, JetStream': () => byHubs(50, () => openJetStream()),
}
