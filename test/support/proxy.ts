import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { onTestFinished } from 'vitest'

interface Pair {
  readonly near: Socket
  readonly far: Socket
  isSilent: boolean
}

/** Starts a proxy to a local server. `silence` stops forwarding on all present connections, without closing them. */
export async function startProxy(target: number) {
  const pairs = new Set<Pair>()
  const server = createServer((near) => {
    const pair: Pair = { near, far: connect(target, '127.0.0.1'), isSilent: false }
    pairs.add(pair)
    forward(pair, pair.near, pair.far)
    forward(pair, pair.far, pair.near)
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => {
    server.close()
    for (const { near, far } of pairs) for (const socket of [near, far]) socket.destroy()
  })
  const { port } = server.address() as AddressInfo
  const silence = () => {
    for (const pair of pairs) pair.isSilent = true
  }
  return { port, silence }
}

function forward(pair: Pair, from: Socket, to: Socket): void {
  from.on('data', (chunk) => void (pair.isSilent || to.write(chunk)))
  from.on('error', () => {})
  from.on('close', () => void (pair.isSilent || to.destroy()))
}
