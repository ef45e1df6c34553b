import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { onTestFinished } from 'vitest'

interface Pair {
  readonly near: Socket
  readonly far: Socket
  isSilent: boolean
}

/**
 * Starts a proxy to a local server. `silence` stops forwarding on all present connections, without closing them. `mute`
 * stops forwarding responses, also on later connections. `cut` closes all connections and forwards responses again.
 * `leadTo` sets the server of later connections.
 */
export async function startProxy(target: number) {
  const pairs = new Set<Pair>()
  let isMuted = false
  let port = target
  const server = createServer((near) => {
    const pair: Pair = { near, far: connect(port, '127.0.0.1'), isSilent: false }
    pairs.add(pair)
    forward(pair, pair.near, pair.far)
    forward(pair, pair.far, pair.near, () => isMuted)
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => {
    server.close()
    for (const { near, far } of pairs) for (const socket of [near, far]) socket.destroy()
  })
  const leadTo = (next: number) => {
    port = next
  }
  const silence = () => {
    for (const pair of pairs) pair.isSilent = true
  }
  const mute = () => {
    isMuted = true
  }
  const cut = () => {
    isMuted = false
    for (const { near, far } of pairs) for (const socket of [near, far]) socket.destroy()
    pairs.clear()
  }
  return { port: (server.address() as AddressInfo).port, silence, mute, cut, leadTo }
}

function forward(pair: Pair, from: Socket, to: Socket, isMuted = () => false): void {
  from.on('data', (chunk) => void (pair.isSilent || isMuted() || to.write(chunk)))
  from.on('error', () => {})
  from.on('close', () => void (pair.isSilent || to.destroy()))
}
