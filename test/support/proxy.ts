import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { onTestFinished } from 'vitest'

interface Pair {
  readonly near: Socket
  readonly far: Socket
  isSilent: boolean
  isMuted: boolean
}

/**
 * Starts a proxy to a local server. `silence` stops forwarding on all present connections, or on those at some indices
 * in the order in which they were opened, without closing them. `mute` stops forwarding responses, also on later
 * connections. `muteAfter` stops it on each connection that sends a request with a text. `holdAfter` holds the
 * responses on such a connection until one has another text. `cut` closes all connections and forwards responses again.
 * `leadTo` sets the server of later connections.
 */
export async function startProxy(target: number) {
  const pairs = new Set<Pair>()
  let isMuted = false
  let muting: RegExp | undefined
  let holding: { request: RegExp; response: RegExp } | undefined
  let port = target
  const server = createServer((near) => {
    const pair: Pair = { near, far: connect(port, '127.0.0.1'), isSilent: false, isMuted: false }
    pairs.add(pair)
    near.on('data', (chunk) => {
      if (muting?.test(String(chunk))) pair.isMuted = true
      if (holding?.request.test(String(chunk))) near.cork()
    })
    forward(pair, pair.near, pair.far)
    forward(pair, pair.far, pair.near, () => isMuted || pair.isMuted)
    pair.far.on('data', (chunk) => void (holding?.response.test(String(chunk)) && near.uncork()))
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => {
    server.close()
    for (const { near, far } of pairs) for (const socket of [near, far]) socket.destroy()
  })
  const leadTo = (next: number) => {
    port = next
  }
  const silence = (...indices: number[]) => {
    for (const [i, pair] of [...pairs].entries())
      pair.isSilent ||= indices.length === 0 || indices.includes(i)
  }
  const mute = () => {
    isMuted = true
  }
  const muteAfter = (request: RegExp) => {
    muting = request
  }
  const holdAfter = (request: RegExp, response: RegExp) => {
    holding = { request, response }
  }
  const cut = () => {
    isMuted = false
    for (const { near, far } of pairs) for (const socket of [near, far]) socket.destroy()
    pairs.clear()
  }
  return { port: (server.address() as AddressInfo).port, silence, mute, muteAfter, holdAfter, cut, leadTo }
}

function forward(pair: Pair, from: Socket, to: Socket, isMuted = () => false): void {
  from.on('data', (chunk) => void (pair.isSilent || isMuted() || to.write(chunk)))
  from.on('error', () => {})
  from.on('close', () => void (pair.isSilent || to.destroy()))
}

/**
 * Starts a proxy to a local server that cuts each connection after a number of bytes of the response. A client receives
 * exactly these bytes. `target` returns the port for the next connection.
 */
export async function startCuttingProxy(target: () => number, bytesUntilCut: () => number) {
  const sockets = new Set<Socket>()
  const server = createServer((near) => {
    const far = connect(target(), '127.0.0.1')
    let left = bytesUntilCut()
    for (const socket of [near, far]) sockets.add(socket.on('error', () => {}))
    near.on('close', () => {
      far.destroy()
      for (const socket of [near, far]) sockets.delete(socket)
    })
    far.on('close', () => near.end())
    near.on('data', (chunk) => void (left > 0 && far.write(chunk)))
    far.on('data', (chunk: Buffer) => {
      if (left <= 0) return
      near.write(chunk.subarray(0, left))
      left -= chunk.length
      // Ends the connection of the client after these bytes.
      if (left <= 0) far.destroy()
    })
    if (left <= 0) far.destroy()
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => {
    server.close()
    for (const socket of sockets) socket.destroy()
  })
  return { port: (server.address() as AddressInfo).port }
}
