import express from 'express'
import { Runs } from 'spillway'
import { sse } from 'spillway/express'
import { planOf } from './plan.js'
import { FAILURE, sourceOf } from './source.js'
import { stores } from './stores.js'
import { WitnessLog } from './witness-log.js'

// A server process that owns runs and has subscribers. It has no shutdown handler, because it is killed with SIGKILL.
// `BREAK` disables a part of the store, to prove that the run then fails.

const { BREAK, BROKER_PORT, LEASE, MERGE, PORT, SEED, STORE, WITNESS } = process.env
const lease = Number(LEASE)
const log = new WitnessLog(WITNESS)
const store = await stores[STORE].open(BROKER_PORT)
breakStore()
const merge = ({ data, ...previous }, next) => ({ ...previous, data: data + next.data })
const runs = new Runs({ store, lease, ...(MERGE === 'yes' ? { merge } : {}) })
runs.on('error', (error, id) => {
  if (error.message !== FAILURE) console.error(`${id}: ${error.code} ${error.message}`, error.cause)
})
// The parent process has ended.
process.on('disconnect', () => process.exit())

const app = express()
app.get(
  '/runs/:id',
  sse((stream, { params }) => runs.subscribe(stream, params.id), { retry: 0, heartbeat: 1_000 }),
)
app.post('/runs/:id', async ({ params, query }, response) => {
  const plan = planOf(SEED, params.id, lease)
  const source = (signal) => sourceOf(plan, Number(query.generation), log, signal)
  const { maxEvents } = plan
  await runs.start(params.id, source, maxEvents ? { maxEvents } : {})
  response.status(201).end()
})
app.delete('/runs/:id', async ({ params, query }, response) => {
  const isDone = query.remove ? await runs.delete(params.id) : await runs.stop(params.id)
  response.json(isDone)
})
app.use((error, _request, response, _next) => {
  if (response.headersSent) response.destroy()
  else response.status(error.code === 'ERR_SSE_RUN_ENDED' ? 409 : 503).json({ code: error.code })
})
app.listen(Number(PORT), '127.0.0.1', () => process.send?.('listening'))

function breakStore() {
  const [start, read] = [store.start.bind(store), store.read.bind(store)]
  // Every caller of a start owns the run.
  if (BREAK === 'starts') store.start = async (...args) => ({ ...(await start(...args)), isNew: true })
  // A batch is missing from every page.
  if (BREAK === 'reads') store.read = async (...args) => (await read(...args))?.toSpliced(1, 1)
}
