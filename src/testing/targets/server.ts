import { once } from 'node:events'
import { createServer, type RequestListener, type Server } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { openRequest, type RequestSettings, urlOf } from './http-request.ts'
import type { OpenResponse } from './open-response.ts'

interface StartedServer {
  clients: number
  readonly begun: Promise<unknown>
  readonly sockets: Set<Socket>
  closed?: Promise<unknown>
}

// The servers that were started for their clients.
const started = new Map<Server, StartedServer>()

/** Asks a server, or what answers its requests. One that does not listen does so while it has clients. */
export async function openOnServer(
  source: Server | RequestListener,
  options: RequestSettings,
): Promise<OpenResponse> {
  const server = typeof source === 'function' ? createServer(source) : source
  return whileServing(server, () =>
    openRequest(urlOf(originOf(server), options.path), { ...options, acceptSelfSigned: true }),
  )
}

/** Has a server listen while one asks it, and until that client has left. */
export async function whileServing(server: Server, ask: () => Promise<OpenResponse>): Promise<OpenResponse> {
  const release = await hold(server)
  try {
    const answer = await ask()
    return { ...answer, close: () => answer.close().finally(release) }
  } catch (error) {
    await release()
    throw error
  }
}

async function hold(server: Server): Promise<() => Promise<void>> {
  while (started.get(server)?.closed) await started.get(server)?.closed
  if (server.listening && !started.has(server)) return async () => {}
  const holding = started.get(server) ?? start(server)
  holding.clients += 1
  await holding.begun
  return () => release(server, holding)
}

function start(server: Server): StartedServer {
  const sockets = new Set<Socket>()
  const begun = once(server.listen(0, '127.0.0.1'), 'listening')
  const onConnection = (socket: Socket) => {
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
  }
  server.on('connection', onConnection)
  const holding: StartedServer = { clients: 0, begun, sockets }
  started.set(server, holding)
  const letGo = () => {
    started.delete(server)
    server.off('connection', onConnection)
  }
  // Also when somebody else closes it.
  server.once('close', letGo)
  begun.catch(letGo)
  return holding
}

async function release(server: Server, holding: StartedServer): Promise<void> {
  holding.clients -= 1
  if (holding.clients > 0 || started.get(server) !== holding) return
  holding.closed = once(server, 'close')
  server.close()
  // Also those that are no requests any more, of a WebSocket say, which a server does not know of.
  for (const socket of holding.sockets) socket.destroy()
  await holding.closed
}

function originOf(server: Server): string {
  const listening = server.address()
  if (typeof listening === 'string') throw new TypeError(`A server of a pipe has no URL: ${listening}.`)
  const { address, family, port } = listening as AddressInfo
  // A server that listens to every address is asked on the loopback.
  const host =
    { '::': '[::1]', '0.0.0.0': '127.0.0.1' }[address] ?? (family === 'IPv6' ? `[${address}]` : address)
  // Only a server of TLS has contexts.
  const scheme = 'addContext' in server ? 'https' : 'http'
  return `${scheme}://${host}:${port}`
}
