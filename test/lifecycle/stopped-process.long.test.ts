import { once } from 'node:events'
import { setTimeout as pause } from 'node:timers/promises'
import { createClient } from 'redis'
import { beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { Hub } from '../../src/hub/hub.ts'
import { jetstreamCounts, jetstreamStore } from '../../src/stores/nats/index.ts'
import { redisCounts, redisStore } from '../../src/stores/redis/index.ts'
import { type Broker, startNats, startRedis } from '../support/brokers.ts'
import { startProgram } from '../support/child-program.ts'
import { get } from '../support/client.ts'
import { openConnection } from '../support/nats-hub.ts'
import { parseEvents } from '../support/parse.ts'

const LEASE = 1_000
// Longer than the time for a response, which Redis has after the 5 s of a blocking read.
const STOPPED = 7_000
const GRACE = 4_000

const redisAt = (port: number) => createClient({ url: `redis://127.0.0.1:${port}` }).on('error', () => {})

const BROKERS = [
  {
    name: 'Redis',
    start: startRedis,
    counts: async (port: number, key: string) => redisCounts(redisAt(port), { key, lease: LEASE }),
    store: async (port: number, key: string) => redisStore(redisAt(port), { key }),
    open: `
      import { createClient } from 'redis'
      import { redisCounts, redisStore } from 'spillway/redis'
      const client = createClient({ url: 'redis://127.0.0.1:' + process.env.PORT }).on('error', () => {})
      const counts = redisCounts(client, { key: process.env.NAME, lease: ${LEASE} })
      const store = redisStore(client, { key: process.env.NAME, publishTimeout: 1_000 })`,
  },
  {
    name: 'JetStream',
    start: startNats,
    counts: async (port: number, streamName: string) =>
      jetstreamCounts(await openConnection(port), { streamName, lease: LEASE }),
    store: async (port: number, streamName: string) =>
      jetstreamStore(await openConnection(port), { streamName }),
    open: `
      import { connect } from '@nats-io/transport-node'
      import { jetstreamCounts, jetstreamStore } from 'spillway/nats'
      const connection = await connect({ port: process.env.PORT, maxReconnectAttempts: -1, reconnectTimeWait: 20 })
      const counts = jetstreamCounts(connection, { streamName: process.env.NAME, lease: ${LEASE} })
      const store = jetstreamStore(connection, { streamName: process.env.NAME, publishTimeout: 1_000 })`,
  },
]

// Prints how each stream was closed.
const SERVE = `
  import { createServer } from 'node:http'
  import { createSseStream, gracefulShutdown, Hub } from 'spillway'
  const hub = new Hub({ store })
  const server = createServer((request, response) => {
    const stream = createSseStream(request, response)
    stream.on('close', (reason) => console.log('stream', reason))
    hub.subscribe(stream, ['a'])
  })
  await store.ready
  gracefulShutdown({
    ...{ server, hub, spread: ${GRACE / 2}, grace: ${GRACE} },
    onShutdown: () => console.log('closing'),
  })
  server.listen(0, '127.0.0.1', () => console.log('port', server.address().port))`

const dataOf = (body: string) =>
  parseEvents(body).flatMap(({ event, data }) => (event === 'position' ? [] : [data]))
const numbers = (to: number) => Array.from({ length: to }, (_, at) => String(at))

let names = 0

describe.each(BROKERS)(
  'a process on $name that is stopped and continued',
  ({ start, open, counts, store }) => {
    let broker: Broker
    beforeAll(async () => {
      broker = await start()
      return () => broker.end()
    })

    const begin = (program: string) => {
      const name = `process-${++names}`
      return { name, process: startProgram(open + program, { PORT: String(broker.port), NAME: name }) }
    }

    async function serve() {
      const { name, process } = begin(SERVE)
      const port = Number(await process.printed('port'))
      const hub = new Hub({ store: await store(broker.port, name) })
      onTestFinished(() => hub.shutdown({ grace: 0 }))
      const client = await get('http', port)
      const publish = async (from: number, to: number) => {
        for (let n = from; n < to; n++) await hub.channel('a').publish({ data: n })
      }
      await publish(0, 1)
      await client.until('data: 0\n\n')
      return { process, port, client, publish }
    }

    it('has no streams in the counts of others, until it counts them again', async () => {
      const { name, process } = begin(`
      console.log('counted', await counts.acquire('user', 1))
      setInterval(() => {}, 1_000)`)
      expect(await process.printed('counted')).toBe('true')
      const others = await counts(broker.port, name)
      onTestFinished(() => others.close())
      // Whether there is room for a stream. It is not counted then.
      const hasRoom = async () => {
        const isCounted = await others.acquire('user', 1)
        if (isCounted) others.release('user')
        return isCounted
      }
      expect(await hasRoom()).toBe(false)
      await process.freeze()
      await expect.poll(hasRoom).toBe(true)
      process.thaw()
      await expect.poll(hasRoom).toBe(false)
    })

    it('sends its clients each event once that was published meanwhile', async () => {
      const { process, client, publish } = await serve()
      await process.freeze()
      await publish(1, 200)
      await pause(STOPPED)
      await publish(200, 400)
      process.thaw()
      await client.until('data: 399\n\n')
      await publish(400, 401)
      await client.until('data: 400\n\n')
      expect(dataOf(client.body)).toEqual(numbers(401))
      expect(process.lines.slice(1)).toEqual([])
    })

    it('sends its clients each event once if the broker was restarted meanwhile', async () => {
      const { process, client, publish } = await serve()
      await process.freeze()
      await publish(1, 200)
      await broker.stop()
      await broker.start()
      await publish(200, 400)
      process.thaw()
      await client.until('data: 399\n\n')
      expect(dataOf(client.body)).toEqual(numbers(400))
      expect(process.lines.slice(1)).toEqual([])
    })

    it('in the middle of its shutdown closes its streams as if it had not been stopped', async () => {
      const { process, port, client } = await serve()
      const others = await Promise.all(Array.from({ length: 9 }, () => get('http', port)))
      const exited = once(process.child, 'exit')
      process.child.kill('SIGTERM')
      await process.printed('closing')
      await process.freeze()
      const closed = () => process.lines.filter((line) => line.startsWith('stream'))
      expect(closed().length).toBeLessThan(10)
      await pause(STOPPED)
      process.thaw()
      expect(await exited).toEqual([0, null])
      for (const each of [client, ...others]) {
        expect(await each.ended).toBe('end')
        // The reconnection time of the shutdown, after the one that each stream begins with.
        expect(each.body.match(/^retry: /gm)).toHaveLength(2)
      }
      await expect.poll(closed).toEqual(Array(10).fill('stream shutdown'))
    })
  },
)
