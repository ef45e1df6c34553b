import { startClients, startServer } from './bench.js'

/**
 * Returns the cost of one of `count` streams that `open` opens: memory of the server in bytes, and its CPU time in µs.
 * The process of the server MUST be new, because the layout of a heap depends on its earlier content.
 */
export async function costPerStream(server, count, open) {
  const before = await server.ask('memory')
  const { cpu } = await server.measure(open)
  const after = await server.ask('memory')
  const perStream = (name) => (after[name] - before[name]) / count
  return {
    heap: perStream('heap'),
    external: perStream('external'),
    rss: perStream('rss'),
    cpu: cpu / count,
  }
}

/** Returns the same for idle streams, in new processes. `url` is the module of the server. */
export async function costOfIdleStream(url, contender, { count, warmUp }) {
  const server = await startServer(url, contender, { nodeFlags: ['--expose-gc'] })
  const clients = await startClients()
  const { port } = server
  await clients.ask('open', { port, count: warmUp })
  await clients.ask('close')
  const cost = await costPerStream(server, count, () => clients.ask('open', { port, count }))
  await Promise.all([server.stop(), clients.stop()])
  return cost
}
