import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { onTestFinished } from 'vitest'

interface Pair {
  readonly near: Socket
  readonly far: Socket
  isDead: boolean
}

/** A way to a server of this machine. What `swallow` finds goes on in silence, and what is connected after it works. */
export async function startProxy(target: number) {
  const pairs = new Set<Pair>()
  const server = createServer((near) => {
    const pair: Pair = { near, far: connect(target, '127.0.0.1'), isDead: false }
    pairs.add(pair)
    pass(pair, pair.near, pair.far)
    pass(pair, pair.far, pair.near)
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => {
    server.close()
    for (const { near, far } of pairs) for (const socket of [near, far]) socket.destroy()
  })
  const { port } = server.address() as AddressInfo
  const swallow = () => {
    for (const pair of pairs) pair.isDead = true
  }
  return { port, swallow }
}

function pass(pair: Pair, from: Socket, to: Socket): void {
  from.on('data', (chunk) => void (pair.isDead || to.write(chunk)))
  from.on('error', () => {})
  from.on('close', () => void (pair.isDead || to.destroy()))
}
