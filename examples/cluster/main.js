import cluster from 'node:cluster'
import { createRedis, freePort } from './redis.js'

// Three processes behind one port, and Redis between them. Kill what you like: the page counts what is missing.

const PROCESSES = 3
// One port for all, also for those that are started again.
const PORT = process.env.PORT === '0' ? await freePort() : (process.env.PORT ?? 3000)

const redis = await createRedis()
cluster.setupPrimary({ exec: new URL('worker.js', import.meta.url).pathname })

function startWorker() {
  const worker = cluster.fork({ PORT, REDIS_URL: redis.url })
  worker.on('message', (message) => {
    if (message === 'kill redis') redis.restart()
  })
  return worker
}

for (let i = 0; i < PROCESSES; i++) startWorker()
cluster.on('exit', () => {
  if (!isStopping) startWorker()
})

cluster.once('listening', () => console.log(`Three processes on http://localhost:${PORT}`))

let isStopping = false
for (const signal of ['SIGINT', 'SIGTERM']) {
  process.once(signal, () => {
    isStopping = true
    for (const worker of Object.values(cluster.workers ?? {})) worker?.kill()
    redis.stop()
  })
}
