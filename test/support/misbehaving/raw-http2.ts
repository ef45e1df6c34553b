import http from 'node:http'
import type { Server } from 'node:net'
import tls, { type TLSSocket } from 'node:tls'
import { selfSigned } from '../serve.ts'
import { StreamServer } from './stream-server.ts'

const [DATA, HEADERS, SETTINGS] = [0, 1, 4]
const PREFACE_LENGTH = 24
const FRAME_HEADER_LENGTH = 9
// HPACK: the index of `:status: 200`.
const STATUS_200 = Buffer.from([0x88])

/** Sends the header Connection over HTTP/2, which no server of Node.js does. Over HTTP/1.1, the stream has no fault. */
export class ConnectionOverHttp2 extends StreamServer {
  override readonly isSecure = true

  override async createServer(): Promise<Server> {
    const http1 = http.createServer((request, response) => this.handle(request, response))
    const options = { ...(await selfSigned()), ALPNProtocols: ['h2', 'http/1.1'] }
    return tls.createServer(options, (socket) => {
      socket.on('error', () => {})
      if (socket.alpnProtocol === 'h2') respondToAll(socket)
      else http1.emit('connection', socket)
    })
  }
}

function respondToAll(socket: TLSSocket): void {
  let received = Buffer.alloc(0)
  let skipped = PREFACE_LENGTH
  socket.write(frame(SETTINGS, 0, 0, Buffer.alloc(0)))
  socket.on('data', (bytes: Buffer) => {
    received = Buffer.concat([received, bytes])
    while (received.length >= skipped + FRAME_HEADER_LENGTH) {
      const length = received.readUIntBE(skipped, 3)
      if (received.length < skipped + FRAME_HEADER_LENGTH + length) return
      readFrame(socket, received.subarray(skipped))
      received = received.subarray(skipped + FRAME_HEADER_LENGTH + length)
      skipped = 0
    }
  })
}

function readFrame(socket: TLSSocket, bytes: Buffer): void {
  const [type, flags, id] = [bytes[3], bytes[4] ?? 0, bytes.readUInt32BE(5)]
  const isAcknowledged = (flags & 1) === 1
  if (type === SETTINGS && !isAcknowledged) socket.write(frame(SETTINGS, 1, 0, Buffer.alloc(0)))
  if (type !== HEADERS) return
  const fields = [literal('content-type', 'text/event-stream'), literal('connection', 'keep-alive')]
  socket.write(frame(HEADERS, 4, id, Buffer.concat([STATUS_200, ...fields])))
  socket.write(frame(DATA, 0, id, Buffer.from('data: 1\n\n')))
}

function frame(type: number, flags: number, id: number, payload: Buffer): Buffer {
  const header = Buffer.alloc(FRAME_HEADER_LENGTH)
  header.writeUIntBE(payload.length, 0, 3)
  header.writeUInt8(type, 3)
  header.writeUInt8(flags, 4)
  header.writeUInt32BE(id, 5)
  return Buffer.concat([header, payload])
}

/** RFC 7541 6.2.2: a literal header field without indexing, with a new name. */
function literal(name: string, value: string): Buffer {
  return Buffer.concat([
    Buffer.from([0, name.length]),
    Buffer.from(name),
    Buffer.from([value.length]),
    Buffer.from(value),
  ])
}
