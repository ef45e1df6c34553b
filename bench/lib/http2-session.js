import { connect } from 'node:net'
import { EventCounter } from './event-counter.js'

// All sockets read into the same buffer, because a stream and a buffer per read would cost more than the server.
const memory = Buffer.alloc(64 * 1024)

// RFC 9113 4.1, 6.
const FRAME_HEADER = 9
const DATA = 0
const HEADERS = 1
const RST_STREAM = 3
const SETTINGS = 4
const PING = 6
const GOAWAY = 7
const WINDOW_UPDATE = 8
const ACK = 1
const END_STREAM_AND_HEADERS = 5
const PREFACE = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'
const INITIAL_WINDOW_SIZE = 4
const DEFAULT_WINDOW = 65_535
const MAX_WINDOW = 2 ** 31 - 1

// The response's first field, `:status: 200`, in the static table of RFC 7541.
const STATUS_200 = 0x88
const NAMES = { authority: 0x01, accept: [0x0f, 0x04] }
// `:method: GET`, `:scheme: http` and `:path: /` in the static table; the others as literals without Huffman coding.
const REQUEST = Buffer.concat([
  Buffer.from([0x82, 0x86, 0x84]),
  literal(NAMES.authority, 'localhost'),
  literal(NAMES.accept, 'text/event-stream'),
])

/**
 * A connection of HTTP/2 with any number of responses. Its windows are so large that they never have to be enlarged. An
 * update of a window would cost the server time that depends on the client.
 */
export class Http2Session {
  /** Counts the events of each response. */
  streams
  #socket
  #header = Buffer.alloc(FRAME_HEADER)
  #headerLength = 0
  #frame = { length: 0, type: 0, flags: 0, stream: 0 }
  #payload = []
  #openStreams = 0
  #onOpen
  #onFailure

  constructor({ port, streams, ...options }) {
    this.streams = Array.from({ length: streams }, () => new EventCounter(options))
    const onread = { buffer: memory, callback: (size) => this.#onChunk(memory.subarray(0, size)) }
    this.#socket = connect({ port, host: '127.0.0.1', onread }, () => this.#request())
    this.#socket.on('error', () => {})
  }

  /** Resolves when the response headers of each stream and the first byte of its body have arrived. */
  opened() {
    return new Promise((resolve, reject) => {
      this.#onOpen = resolve
      this.#onFailure = (message) => reject(new Error(message))
      this.#socket.once('close', () => reject(new Error('The connection was closed.')))
    })
  }

  close() {
    this.#socket.destroy()
  }

  #request() {
    const window = Buffer.alloc(6)
    window.writeUInt16BE(INITIAL_WINDOW_SIZE)
    window.writeUInt32BE(MAX_WINDOW, 2)
    const enlarge = Buffer.alloc(4)
    enlarge.writeUInt32BE(MAX_WINDOW - DEFAULT_WINDOW)
    const requests = this.streams.map((_, i) => frame(HEADERS, END_STREAM_AND_HEADERS, 2 * i + 1, REQUEST))
    this.#socket.write(
      Buffer.concat([
        Buffer.from(PREFACE),
        frame(SETTINGS, 0, 0, window),
        frame(WINDOW_UPDATE, 0, 0, enlarge),
        ...requests,
      ]),
    )
  }

  #onChunk(chunk) {
    let at = 0
    while (at < chunk.length) {
      at += this.#readHeader(chunk, at)
      if (this.#headerLength < FRAME_HEADER) return true
      const part = chunk.subarray(at, at + this.#frame.length)
      at += part.length
      this.#frame.length -= part.length
      this.#onPart(part)
      if (this.#frame.length === 0) this.#onFrameEnd()
    }
    return true
  }

  /** Returns the number of bytes that belong to the header of the frame. */
  #readHeader(chunk, at) {
    const size = Math.min(FRAME_HEADER - this.#headerLength, chunk.length - at)
    if (size === 0) return 0
    chunk.copy(this.#header, this.#headerLength, at, at + size)
    this.#headerLength += size
    if (this.#headerLength < FRAME_HEADER) return size
    const header = this.#header
    this.#frame.length = header.readUIntBE(0, 3)
    this.#frame.type = header[3]
    this.#frame.flags = header[4]
    this.#frame.stream = header.readUInt32BE(5)
    return size
  }

  // Data is read in parts. Other frames are short, and are kept until they are complete.
  #onPart(part) {
    if (this.#frame.type === DATA) this.#streamOf(this.#frame).read(part)
    else this.#payload.push(Buffer.from(part))
  }

  #onFrameEnd() {
    const { type, flags, stream } = this.#frame
    this.#headerLength = 0
    if (type === DATA) return this.#onData(this.#streamOf({ stream }))
    const payload = Buffer.concat(this.#payload)
    this.#payload = []
    const isAck = (flags & ACK) !== 0
    if (type === HEADERS && payload[0] !== STATUS_200) this.#onFailure('Refused')
    if (type === RST_STREAM || type === GOAWAY) this.#onFailure?.('The server has reset the stream.')
    if (type === SETTINGS && !isAck) this.#socket.write(frame(SETTINGS, ACK, 0))
    if (type === PING && !isAck) this.#socket.write(frame(PING, ACK, 0, payload))
  }

  #onData(stream) {
    if (!this.#onOpen || stream.isOpen) return
    stream.isOpen = true
    this.#openStreams += 1
    if (this.#openStreams < this.streams.length) return
    this.#onOpen()
    this.#onOpen = undefined
  }

  #streamOf({ stream }) {
    return this.streams[(stream - 1) / 2]
  }
}

function frame(type, flags, stream, payload = Buffer.alloc(0)) {
  const header = Buffer.alloc(FRAME_HEADER)
  header.writeUIntBE(payload.length, 0, 3)
  header[3] = type
  header[4] = flags
  header.writeUInt32BE(stream, 5)
  return Buffer.concat([header, payload])
}

function literal(name, value) {
  return Buffer.concat([Buffer.from([name].flat()), Buffer.from([value.length]), Buffer.from(value)])
}
