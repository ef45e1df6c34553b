import { once } from 'node:events'
import { createServer, type RequestListener, type Server } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { openRequest, type RequestSettings, urlOf } from './http-request.ts'
import type { OpenResponse } from './open-response.ts'

interface StartedServer {
  clients: number
  readonly listening: Promise<unknown>
  readonly sockets: Set<Socket>
  closed?: Promise<unknown>
}

/** The servers that listen only while a client is open. */
const startedServers = new Map<Server, StartedServer>()

/**
 * Sends a request to a server or a request listener. Starts a server that does not listen, until its last client
 * closes.
 */
export async function openOnServer(
  source: Server | RequestListener,
  options: RequestSettings,
): Promise<OpenResponse> {
  const server = typeof source === 'function' ? createServer(source) : source
  const release = await acquire(server)
  try {
    const url = urlOf(originOf(server), options.path)
    const response = await openRequest(url, { ...options, acceptSelfSigned: true })
    return { ...response, close: () => response.close().finally(release) }
  } catch (error) {
    await release()
    throw error
  }
}

async function acquire(server: Server): Promise<() => Promise<void>> {
  while (startedServers.get(server)?.closed) await startedServers.get(server)?.closed
  if (server.listening && !startedServers.has(server)) return async () => {}
  const started = startedServers.get(server) ?? start(server)
  started.clients += 1
  await started.listening
  return () => release(server, started)
}

function start(server: Server): StartedServer {
  const sockets = new Set<Socket>()
  const listening = once(server.listen(0, '127.0.0.1'), 'listening')
  const onConnection = (socket: Socket) => {
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
  }
  server.on('connection', onConnection)
  const started: StartedServer = { clients: 0, listening, sockets }
  startedServers.set(server, started)
  const remove = () => {
    startedServers.delete(server)
    server.off('connection', onConnection)
  }
  // The test may close the server itself.
  server.once('close', remove)
  listening.catch(remove)
  return started
}

async function release(server: Server, started: StartedServer): Promise<void> {
  started.clients -= 1
  if (started.clients > 0 || startedServers.get(server) !== started) return
  started.closed = once(server, 'close')
  server.close()
  // `closeAllConnections` does not close upgraded sockets, for example those of a WebSocket.
  for (const socket of started.sockets) socket.destroy()
  await started.closed
}

function originOf(server: Server): string {
  const listening = server.address()
  if (typeof listening === 'string')
    throw new TypeError(`The server listens on a pipe, which has no URL: ${listening}.`)
  const { address, family, port } = listening as AddressInfo
  // Use the loopback address of a server that listens on all addresses.
  const host =
    { '::': '[::1]', '0.0.0.0': '127.0.0.1' }[address] ?? (family === 'IPv6' ? `[${address}]` : address)
  // Only TLS servers have `addContext`.
  const scheme = 'addContext' in server ? 'https' : 'http'
  return `${scheme}://${host}:${port}`
}
