import http from 'node:http'
import http2 from 'node:http2'
import https from 'node:https'
import type { AddressInfo, Server, Socket } from 'node:net'
import { generate } from 'selfsigned'
import { onTestFinished } from 'vitest'
import type { NodeRequest } from '../../src/http/last-event-id.ts'
import type { NodeResponse } from '../../src/transports/node-response.ts'

export { deferred } from './deferred.ts'

export type Protocol = 'http' | 'https' | 'h2' | 'h2c'
// A union with the types of HTTP/2 would have no callable `write`.
export type Handler = (request: http.IncomingMessage, response: http.ServerResponse) => void

let certificate: Promise<{ key: string; cert: string }> | undefined

/** Returns a certificate for localhost, the same for all servers of a file. */
export async function selfSigned() {
  certificate ??= generate([{ name: 'commonName', value: 'localhost' }], { keyType: 'ec' }).then((pem) => ({
    key: pem.private,
    cert: pem.cert,
  }))
  return certificate
}

async function createServer(protocol: Protocol, handler: Handler): Promise<Server> {
  const any = handler as unknown as (request: NodeRequest, response: NodeResponse) => void
  switch (protocol) {
    case 'http':
      return http.createServer(handler)
    case 'https':
      return https.createServer(await selfSigned(), handler)
    case 'h2c':
      return http2.createServer(any)
    case 'h2':
      return http2.createSecureServer(await selfSigned(), any)
  }
}

/** Starts a server on a free loopback port. It is closed after the test. */
export async function serve(handler: Handler, protocol: Protocol = 'http') {
  const server = await createServer(protocol, handler)
  const { port, sockets } = await listenForTest(server)
  return { server, port, sockets, url: `http://127.0.0.1:${port}` }
}

/** Listens on a free loopback port. The server and its connections are closed after the test. */
export async function listenForTest(server: Server) {
  const sockets = new Set<Socket>()
  server.on('connection', (socket: Socket) => {
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  const { port } = server.address() as AddressInfo
  return { port, sockets }
}

/** Starts a server for the listener of a framework on a free loopback port. */
export async function listen(handler: http.RequestListener) {
  const { server, port } = await serve(handler)
  return { port, close: () => new Promise<void>((resolve) => server.close(() => resolve())) }
}
