// Runs in a network namespace of its own. Prints the bytes for each client as JSON.
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { startClients, startServer } from '../lib/bench.js'

const CLIENTS = 200
const PAGE = 4096
// How much a client reads before it stops. The kernel enlarges a send buffer only for a client that reads.
const READ = 4 * 1024 * 1024

const server = await startServer(new URL('./server.js', import.meta.url), 'spillway')
const clients = await startClients()
await clients.ask('open', { port: server.port, count: CLIENTS })
await server.hasStreams(CLIENTS)
const events = await server.run('warmUp', { bytes: READ })
await clients.ask('receive', { events })
const before = pages()
await clients.ask('stall', { every: 1 })
const accepted = (await server.run('fill')) / CLIENTS
const allocated = ((pages() - before) * PAGE) / CLIENTS
console.log(JSON.stringify({ accepted, ...buffers(server.port), allocated }))
await Promise.all([server.stop(), clients.stop()])

/** Returns the mean memory of the buffers of the server's sockets, and of those of its clients. */
function buffers(port) {
  const sum = (filter, pattern) => {
    const lines = execFileSync('ss', ['-tnmH', 'state', 'established', filter], { encoding: 'utf8' })
    return [...lines.matchAll(pattern)].reduce((total, [, bytes]) => total + Number(bytes), 0) / CLIENTS
  }
  return {
    sendBuffer: sum(`sport = :${port}`, /\bw(\d+),/g),
    receiveBuffer: sum(`dport = :${port}`, /skmem:\(r(\d+),/g),
  }
}

/** Returns the pages that the kernel has allocated for TCP, of all namespaces. */
function pages() {
  return Number(/^TCP: .* mem (\d+)$/m.exec(readFileSync('/proc/net/sockstat', 'utf8'))[1])
}
