import { once } from 'node:events'
import { createServer, type RequestListener, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Answer } from './answer.ts'
import { type Ask, ask } from './ask.ts'

// How many clients hold a server that was started for them.
const holders = new Map<Server, number>()

/** Asks a server, or what answers its requests. One that does not listen does so while it has clients. */
export async function askServer(source: Server | RequestListener, options: Ask): Promise<Answer> {
  const server = typeof source === 'function' ? createServer(source) : source
  const release = await hold(server)
  try {
    const answer = await ask(new URL(options.path ?? '/', originOf(server)), { ...options, trusts: true })
    return { ...answer, leave: () => answer.leave().then(release) }
  } catch (error) {
    await release()
    throw error
  }
}

async function hold(server: Server): Promise<() => Promise<void>> {
  const held = holders.get(server)
  if (held === undefined && server.listening) return async () => {}
  holders.set(server, (held ?? 0) + 1)
  if (held === undefined) server.listen(0, '127.0.0.1')
  if (!server.listening) await once(server, 'listening')
  return () => release(server)
}

async function release(server: Server): Promise<void> {
  const left = (holders.get(server) ?? 1) - 1
  if (left > 0) return void holders.set(server, left)
  holders.delete(server)
  server.close()
  server.closeAllConnections()
  await once(server, 'close')
}

function originOf(server: Server): string {
  const { address, family, port } = server.address() as AddressInfo
  // A server that listens to every address is asked on the loopback.
  const host =
    { '::': '[::1]', '0.0.0.0': '127.0.0.1' }[address] ?? (family === 'IPv6' ? `[${address}]` : address)
  // Only a server of TLS has contexts.
  const scheme = 'addContext' in server ? 'https' : 'http'
  return `${scheme}://${host}:${port}`
}
