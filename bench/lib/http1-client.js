import { connect } from 'node:net'
import { EventCounter } from './event-counter.js'

// All sockets read into the same buffer, because a stream and a buffer per read would cost more than the server.
const memory = Buffer.alloc(64 * 1024)

/** A client of HTTP/1.1: one socket with one response. */
export class Http1Client extends EventCounter {
  #socket
  #headers = ''
  #onOpen
  #isHeld
  /** Whether the server has closed the connection. */
  isClosed = false

  /** With `isHeld`, the response does not begin before there is an event. */
  constructor({ port, lastEventId, path = '/', isHeld = false, ...options }) {
    super(options)
    this.#isHeld = isHeld
    const onread = { buffer: memory, callback: (size) => this.#onChunk(memory.subarray(0, size)) }
    this.#socket = connect({ port, host: '127.0.0.1', onread }, () =>
      this.#socket.write(requestFrom(path, lastEventId)),
    )
    // Some benchmarks measure a server that disconnects slow clients.
    this.#socket.on('error', () => {})
    this.#socket.once('close', () => {
      this.isClosed = true
    })
  }

  /** Resolves when the response headers and the first byte of the body have arrived, or for a held request, at once. */
  opened() {
    if (this.#isHeld) return Promise.resolve()
    return new Promise((resolve, reject) => {
      this.#onOpen = resolve
      this.#socket.once('close', () => reject(new Error(`Refused: ${this.#headers.slice(0, 80)}`)))
    })
  }

  /** Stops reading, so that the buffers of the kernel and then of the server become full. */
  stopReading() {
    this.#socket.pause()
  }

  close() {
    this.#socket.destroy()
  }

  #onChunk(chunk) {
    if (this.#onOpen) this.#readHeaders(chunk)
    else this.read(chunk)
    return true
  }

  #readHeaders(chunk) {
    this.#headers += chunk.toString('latin1')
    const end = this.#headers.indexOf('\r\n\r\n')
    if (end < 0 || this.#headers.length === end + 4) return
    if (!this.#headers.startsWith('HTTP/1.1 200')) return this.close()
    const body = this.#headers.slice(end + 4)
    this.#headers = ''
    this.#onOpen()
    this.#onOpen = undefined
    this.read(Buffer.from(body, 'latin1'))
  }
}

function requestFrom(path, lastEventId) {
  const resume = lastEventId === undefined ? '' : `Last-Event-ID: ${lastEventId}\r\n`
  return `GET ${path} HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n${resume}\r\n`
}
