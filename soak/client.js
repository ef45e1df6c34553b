import { connect } from 'node:net'

// All sockets of the process read into the same buffer.
const memory = Buffer.alloc(64 * 1024)
const HOST = '127.0.0.1'
// The shortest and the longest delay before a client reconnects, in ms.
const RETRY = [500, 2_000]
// The shortest and the longest time for which a slow client does not read, and for which it then reads, in ms.
const PAUSE = [10_000, 90_000]
const READING = [1_000, 5_000]

/** The sums of all clients of the process. */
export const totals = { open: 0, events: 0, reconnects: 0, cuts: 0, gaps: 0, lost: 0, repeated: 0 }

/** A client on a socket of its own. It resumes as `EventSource` does, and counts events that are lost or repeated. */
export class Client {
  #port
  #isSlow
  #socket
  #isOpen = false
  #rest = ''
  #lastEventId
  // The number of the newest event. Undefined if the next event may have any number.
  #newest
  #timer

  constructor(port, isSlow) {
    this.#port = port
    this.#isSlow = isSlow
  }

  connect() {
    const onread = { buffer: memory, callback: (size) => this.#onBytes(memory.latin1Slice(0, size)) }
    const socket = connect({ port: this.#port, host: HOST, onread })
    this.#socket = socket
    this.#rest = ''
    // Without an id, the server cannot determine which events the client has missed.
    if (this.#lastEventId === undefined) this.#newest = undefined
    socket.on('connect', () => socket.write(this.#request()))
    socket.on('error', () => {})
    socket.on('end', () => socket.destroy())
    socket.on('close', () => this.#onClose())
    if (this.#isSlow) this.#pauseLater()
  }

  /** Disconnects, and reconnects after a while. Returns false if the client is not connected. */
  cut() {
    if (!this.#isOpen || this.#socket.destroyed) return false
    totals.cuts += 1
    this.#socket.destroy()
    return true
  }

  #request() {
    const resume = this.#lastEventId === undefined ? '' : `Last-Event-ID: ${this.#lastEventId}\r\n`
    const path = this.#isSlow ? '/slow' : '/'
    return `GET ${path} HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n${resume}\r\n`
  }

  #onBytes(text) {
    if (!this.#isOpen) {
      this.#isOpen = true
      totals.open += 1
    }
    const blocks = (this.#rest + text).split('\n\n')
    this.#rest = blocks.pop()
    for (const block of blocks) this.#onBlock(block)
    return true
  }

  // The framing of chunks between two blocks is on lines of its own.
  #onBlock(block) {
    const id = /^id: (.*)$/m.exec(block)?.[1]
    if (id !== undefined) this.#lastEventId = id
    if (/^event: gap$/m.test(block)) {
      totals.gaps += 1
      this.#newest = undefined
    }
    const number = /^data: \{"n":(\d+)/m.exec(block)?.[1]
    if (number !== undefined) this.#onEvent(Number(number))
  }

  #onEvent(n) {
    totals.events += 1
    const expected = (this.#newest ?? n - 1) + 1
    if (n > expected) totals.lost += n - expected
    if (n < expected) totals.repeated += 1
    this.#newest = n
  }

  #onClose() {
    clearTimeout(this.#timer)
    if (this.#isOpen) totals.open -= 1
    this.#isOpen = false
    totals.reconnects += 1
    setTimeout(() => this.connect(), between(RETRY))
  }

  #pauseLater() {
    this.#timer = setTimeout(() => {
      this.#socket.pause()
      this.#timer = setTimeout(() => {
        this.#socket.resume()
        this.#pauseLater()
      }, between(PAUSE))
    }, between(READING))
  }
}

function between([least, most]) {
  return least + Math.random() * (most - least)
}
