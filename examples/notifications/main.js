import cluster from 'node:cluster'
import { once } from 'node:events'
import { createRedis, freePort } from '../cluster/redis.js'

// Two processes share one port, and Redis connects them. On SIGHUP the processes are replaced. New ones start, and the
// old ones get SIGTERM while pages are open. Run `node examples/notifications/main.js`; it needs `redis-server`.

// All processes listen on the same port, including those that are started later.
const PORT = process.env.PORT === '0' ? await freePort() : (process.env.PORT ?? 3000)
const redis = await createRedis()
cluster.setupPrimary({ exec: new URL('server.js', import.meta.url).pathname })

async function startProcess() {
  const worker = cluster.fork({ PORT, REDIS_URL: redis.url })
  await once(worker, 'listening')
  return worker
}

let workers = await Promise.all([startProcess(), startProcess()])
console.log(`Log in at http://localhost:${PORT}`)

process.on('SIGHUP', async () => {
  const old = workers
  workers = await Promise.all([startProcess(), startProcess()])
  // `worker.kill()` would disconnect the process first.
  for (const worker of old) worker.process.kill('SIGTERM')
  await Promise.all(old.map((worker) => once(worker, 'exit')))
  console.log('Deployed')
})

for (const signal of ['SIGINT', 'SIGTERM']) {
  process.once(signal, async () => {
    for (const worker of workers) worker.process.kill('SIGTERM')
    await Promise.all(workers.map((worker) => once(worker, 'exit')))
    redis.stop()
  })
}
