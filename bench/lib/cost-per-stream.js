import { startClients, startServer } from './bench.js'

/**
 * Returns what each of `count` streams that `open` opens costs a server: memory in bytes, and CPU time in µs. The process of
 * the server MUST be new, because the layout of a heap depends on its earlier content.
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

/** The same for streams that are sent nothing, in new processes. `url` is the module of the server. */
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
