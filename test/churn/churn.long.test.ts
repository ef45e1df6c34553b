import { expect, it } from 'vitest'
import { buildOnNext } from '../fixtures/next-build/build.ts'
import { type Answer, ChurnServer } from './churn-server.ts'
import { Clients } from './clients.ts'
import { randomOf } from './moments.ts'

// How many clients connect to each server. `npm run test:churn` connects 100 000.
const CLIENTS = Number(process.env.CHURN_CLIENTS ?? 1_500)
const SEED = Number(process.env.CHURN_SEED ?? Math.floor(Math.random() * 2 ** 32))
// The first one loads and compiles the code.
const ROUNDS = 5

// So many more objects of a class are no leak, because Node.js and the frameworks keep the last ones.
const OBJECTS = 5
// So many more bytes after a round are no leak, because code is compiled again and its feedback is kept.
const HEAP = 256 * 1024
const HEAP_PER_CLIENT = 64

// A leak of these would be one of the library.
const NONE = ['subscribed streams', 'streams of the channel', 'counted streams', 'connections', 'SseStream']

const adapters = ['createSseStream', 'node', 'express', 'fastify', 'koa', 'hono', 'next', 'http2']

it.each(adapters)(
  'a server with %s retains no memory of clients that disconnect at random moments',
  { timeout: 3_600_000 },
  async (adapter) => {
    const application = adapter === 'next' ? await buildOnNext('test/fixtures/next-churn') : undefined
    const server = new ChurnServer(adapter, application)
    const { port = 0 } = await server.answer()
    const address = { port, socketPath: server.socketPath }
    const clients = new Clients(address, randomOf(SEED), adapter === 'http2')
    const count = Math.ceil(CLIENTS / ROUNDS)
    const startedAt = performance.now()
    const heaps: number[] = []
    let before: Answer = {}
    for (let round = 0; round < ROUNDS; round++) {
      await server.request('start')
      await clients.connect(count)
      const { heap = 0 } = await server.request('measure')
      heaps.push(heap)
      if (round === 1) before = await server.request('count')
    }
    const { counts = {} } = await server.request('count')
    const seconds = Math.round((performance.now() - startedAt) / 1_000)
    const sizes = heaps.map((heap) => `${Math.round(heap / 1024)} kB`).join(', ')
    console.log(`${adapter}, seed ${SEED}: ${count * ROUNDS} clients in ${seconds} s, heap ${sizes}.`)
    if (process.env.CHURN_CLIENTS) console.log(clients.moments, counts)

    // Next.js says that it has read its configuration, even if there is none.
    expect(server.output.replace(/^.*Running next\.config.*\n/, '')).toBe('')
    const grown = Object.keys(counts).filter(
      (name) => Number(counts[name]) > Number(before.counts?.[name]) + OBJECTS,
    )
    expect(grown, `seed ${SEED}, ${JSON.stringify([before.counts, counts])}`).toEqual([])
    expect(NONE.filter((name) => counts[name] !== 0)).toEqual([])
    // A leak makes the heap grow in every round.
    const growths = heaps.slice(2).map((heap, at) => heap - Number(heaps[at + 1]))
    expect(Math.min(...growths), `seed ${SEED}`).toBeLessThan(HEAP + HEAP_PER_CLIENT * count)
  },
)
