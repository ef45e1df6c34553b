import { once } from 'node:events'
import net from 'node:net'
import { onTestFinished } from 'vitest'
import { Client } from '../support/client.ts'
import { ENCODINGS } from '../support/decode.ts'
import type { Handler } from '../support/serve.ts'
import { transportContract } from '../transports/contract.ts'

// Wraps `response.write`, as session middlewares do.
const wrap: Handler = (_request, response) => {
  const write = response.write
  response.write = ((...args: Parameters<typeof write>) => write.apply(response, args)) as typeof write
}

/** Sends a request of HTTP/1.0, whose response has no chunks, and reads its body after the response headers. */
async function connect10(port: number): Promise<Client> {
  const socket = net.connect(port, '127.0.0.1')
  onTestFinished(() => void socket.destroy())
  socket.on('error', () => {}).write('GET / HTTP/1.0\r\nAccept-Encoding: gzip\r\n\r\n')
  let head = Buffer.alloc(0)
  while (!head.includes('\r\n\r\n')) {
    await once(socket, 'readable')
    head = Buffer.concat([head, socket.read() ?? Buffer.alloc(0)])
  }
  socket.unshift(head.subarray(head.indexOf('\r\n\r\n') + 4))
  const encoding = /content-encoding: (\w+)/i.exec(head.toString('latin1'))?.[1]
  return new Client(200, { 'content-encoding': encoding }, socket, () => socket.destroy())
}

for (const encoding of ENCODINGS) {
  const compressed = { options: { compress: true }, headers: { 'accept-encoding': encoding } }
  transportContract({ name: `${encoding} on HTTP/1.1`, protocol: 'http', ...compressed })
  transportContract({ name: `${encoding} on HTTP/2 over TLS`, protocol: 'h2', ...compressed })
}

const compressed = { options: { compress: true }, headers: { 'accept-encoding': 'gzip' } }
transportContract({ name: 'gzip on a wrapped response', protocol: 'http', prepare: wrap, ...compressed })
// The end of a compressed body is in the body.
transportContract({ name: 'gzip on HTTP/1.0', protocol: 'http', connect: connect10, ...compressed })
