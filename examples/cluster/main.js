import cluster from 'node:cluster'
import { createRedis, freePort } from './redis.js'

// Three processes share one port, and Redis connects their hubs. The page can kill a process or Redis, and counts the
// events that it misses. Run `node examples/cluster/main.js`; it needs `redis-server`.

const PROCESSES = 3
// All processes listen on the same port, including those that are restarted.
const PORT = process.env.PORT === '0' ? await freePort() : (process.env.PORT ?? 3000)

const redis = await createRedis()
// The processes accept connections themselves. By default, the primary process accepts each connection and passes it
// on. If the receiving process has just died, the connection stays open without a response.
cluster.schedulingPolicy = cluster.SCHED_NONE
cluster.setupPrimary({ exec: new URL('worker.js', import.meta.url).pathname })

function startWorker() {
  const worker = cluster.fork({ PORT, REDIS_URL: redis.url })
  worker.on('message', (message) => {
    if (message === 'kill redis') redis.restart()
    const killed = Object.values(cluster.workers ?? {}).find(
      (each) => message === `kill ${each?.process.pid}`,
    )
    killed?.process.kill('SIGKILL')
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
