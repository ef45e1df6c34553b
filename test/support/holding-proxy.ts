import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { onTestFinished } from 'vitest'

/**
 * The treatment of an event stream by a proxy. `headers`: holds everything until the end. `body`: holds the body.
 * `bursts`: passes the first bytes, and the others at an interval. `cut`: cuts the connection after the first bytes.
 * `none`: passes all.
 */
export type Hold = 'none' | 'headers' | 'body' | 'bursts' | 'cut'

/**
 * Starts a proxy that holds the event streams of a server, and passes other responses. `interval` of the bursts in ms.
 */
export async function startHoldingProxy(target: number, mode: () => Hold, interval = 1000) {
  const sockets = new Set<Socket>()
  const server = createServer((near) => {
    const far = connect(target, '127.0.0.1')
    for (const socket of [near, far]) sockets.add(socket.on('error', () => {}))
    near.on('data', (chunk) => void far.write(chunk))
    near.on('close', () => far.destroy())
    pass(far, near, mode(), interval)
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => {
    server.close()
    for (const socket of sockets) socket.destroy()
  })
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` }
}

function pass(far: Socket, near: Socket, hold: Hold, interval: number): void {
  let held = Buffer.alloc(0)
  let isStream: boolean | undefined
  let passed = 0
  const flush = () => {
    passed += held.length
    near.write(held)
    held = Buffer.alloc(0)
  }
  const timer = setInterval(() => hold === 'bursts' && flush(), interval)
  far.on('data', (chunk: Buffer) => {
    held = Buffer.concat([held, chunk])
    const end = held.indexOf('\r\n\r\n')
    if (isStream === undefined && end < 0) return
    isStream ??= held.includes('text/event-stream')
    if (!isStream || hold === 'none') flush()
    else if (passed === 0 && hold === 'body') {
      passed = near.write(held.subarray(0, end + 4)) ? end + 4 : 1
      held = held.subarray(end + 4)
    } else if (passed === 0 && hold !== 'headers') {
      flush()
      if (hold === 'cut') far.destroy()
    }
  })
  far.on('close', () => {
    clearInterval(timer)
    // A chunked body without its last chunk has been cut.
    near.end(held)
  })
}
