// A server or publisher process with a hub on a broker or in memory. A client names its channels in the URL.

import { subscribe } from 'node:diagnostics_channel'
import { createServer as createHttpServer } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import { connect } from '@nats-io/transport-node'
import { createClient } from 'redis'
import { createSseStream, Hub, memoryStore } from 'spillway'
import { jetstreamStore } from 'spillway/nats'
import { redisStore } from 'spillway/redis'
import { contender, serve } from './server.js'

const { url, store: storeOptions, stream: streamOptions } = JSON.parse(process.argv[3] ?? '{}')
// The number of events that are published before their ids are awaited, and their largest total size in bytes.
const BATCH = 200
const BATCH_BYTES = 8 * 1024 * 1024
const FIRST = 1_000_000

const openers = {
  memory: () => memoryStore(storeOptions),
  Redis() {
    const client = createClient({ url })
    client.on('error', () => {})
    return redisStore(client, storeOptions)
  },
  async JetStream() {
    const connection = await connect({ servers: url, maxReconnectAttempts: -1, reconnectTimeWait: 100 })
    return jetstreamStore(connection, storeOptions)
  },
}

let changes = 0
subscribe('spillway:store:state', () => {
  changes += 1
})
const store = await openers[contender]()
const hub = new Hub({ store })
await store.ready

// The interval at which the reads of the store are sampled, in ms.
const LOOK = 50
const mostReads = { waiting: 0, running: 0, bytes: 0, oldest: 0 }
setInterval(() => {
  for (const name in mostReads) mostReads[name] = Math.max(mostReads[name], store.reads?.[name] ?? 0)
}, LOOK)

/** Returns the data of an event. Its number and time have a fixed length, because clients read them from the end. */
function dataOf(number, size) {
  return { text: 'x'.repeat(size), n: number, at: process.hrtime.bigint().toString().padStart(16, '0') }
}

let live

/** Publishes an event every `interval` ms, even if earlier ones are not stored yet. */
class Publishing {
  #channel
  #timer
  #size
  #pending = new Set()
  #times = []
  #published = 0
  #rejected = 0

  constructor({ channel, interval, size = 100 }) {
    this.#channel = hub.channel(channel)
    this.#size = size
    this.#timer = setInterval(() => this.#publish(), interval)
  }

  /** Resolves when all publishes are settled. */
  async stop() {
    clearInterval(this.#timer)
    await Promise.all(this.#pending)
    const times = this.#times.sort((a, b) => a - b)
    const p99 = times[Math.floor(times.length * 0.99)] ?? 0
    return { published: this.#published, rejected: this.#rejected, p99 }
  }

  #publish() {
    numbers.live += 1
    this.#published += 1
    const startedAt = performance.now()
    const publish = this.#channel
      .publish({ data: dataOf(numbers.live, this.#size) })
      .then(() => this.#times.push(performance.now() - startedAt))
      .catch(() => {
        this.#rejected += 1
      })
      .finally(() => this.#pending.delete(publish))
    this.#pending.add(publish)
  }
}

const numbers = { live: FIRST }

const phases = {
  /** Publishes events to `channels` channels in turn. Returns their ids. Each channel has numbers of its own. */
  async fill(_streams, { count, size, channels = 1, first = 0 }) {
    const batch = Math.max(1, Math.min(BATCH, Math.floor(BATCH_BYTES / size)))
    const ids = []
    for (let from = first; from < first + count; from += batch) {
      const length = Math.min(batch, first + count - from)
      const publish = (_, i) => {
        const number = FIRST + 1 + Math.floor((from + i) / channels)
        return hub.channel(`c${(from + i) % channels}`).publish({ data: dataOf(number, size) })
      }
      ids.push(...(await Promise.all(Array.from({ length }, publish))))
    }
    return ids
  },

  startPublishing(_streams, options) {
    live = new Publishing(options)
  },

  stopPublishing: () => live.stop(),

  /** Returns the state of the hub, and the most reads of its store since the last call, if it counts them. */
  report(streams) {
    const buffered = [...streams].reduce((sum, stream) => sum + stream.bufferedBytes, 0)
    const reads = store.reads && { ...mostReads }
    for (const name in mostReads) mostReads[name] = 0
    return { state: hub.state, changes, buffered, reads }
  },

  /** Resolves when there are at most `count` streams, or after `timeout` ms. */
  async fewerStreams(streams, { count, timeout }) {
    const deadline = performance.now() + timeout
    while (streams.size > count && performance.now() < deadline) await sleep(20)
    return streams.size
  },
}

function createServer(onStream) {
  return createHttpServer((request, response) => {
    const { searchParams } = new URL(request.url, 'http://localhost')
    const stream = createSseStream(request, response, streamOptions)
    hub.subscribe(stream, searchParams.getAll('channel'))
    stream.on('close', onStream(stream))
  })
}

await serve(phases, createServer)
