import type { AddressInfo, Socket } from 'node:net'
import type { StreamServer } from './stream-server.ts'

/** Starts a server on a free loopback port. `close` also closes its connections. */
export async function start(stream: StreamServer): Promise<{ url: string; close: () => void }> {
  const server = await stream.createServer()
  const sockets = new Set<Socket>()
  server.on('connection', (socket: Socket) => {
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return {
    url: `${stream.isSecure ? 'https' : 'http'}://127.0.0.1:${port}/events`,
    close: () => {
      stream.close()
      server.close()
      for (const socket of sockets) socket.destroy()
    },
  }
}
