import { connect } from 'node:net'
import { EventCounter } from './event-counter.js'

// All sockets read into the same buffer, because a stream and a buffer per read would cost more than the server.
const memory = Buffer.alloc(64 * 1024)
// The longest delay before a client reconnects, in ms.
const RETRY = 1_000

/**
 * A client that resumes a log of numbered events, in a channel of its own choice. It reconnects if it is disconnected.
 * `log` has the ids of all events, which belong to `channels` channels in turn. `start` is the index of the last event
 * that the client has received.
 */
export class ResumingClient extends EventCounter {
  reconnects = 0
  status = ''
  #onAnswered
  /** Resolves when the first response headers have arrived. */
  answered = new Promise((resolve) => {
    this.#onAnswered = resolve
  })
  #port
  #log
  #start
  #channel
  #isSlow
  #isEnded = false
  #socket
  #headers = ''

  constructor({ port, log, start, channel, isSlow = false }) {
    super({ isNumbered: true })
    this.#port = port
    this.#log = log
    this.#start = start
    this.#channel = channel
    this.#isSlow = isSlow
    this.newest = log.newestUpTo(start, channel)
  }

  /** Whether the client has received everything up to the end of the log. */
  get isComplete() {
    return this.newest >= this.#log.newestUpTo(this.#log.size - 1, this.#channel)
  }

  /** Expects the events of a log that has grown. */
  extend(log) {
    this.#log = log
  }

  /** Opens the connection, without a request. */
  connect() {
    return new Promise((resolve) => {
      const onread = { buffer: memory, callback: (size) => this.#onChunk(memory.subarray(0, size)) }
      this.#socket = connect({ port: this.#port, host: '127.0.0.1', onread }, resolve)
      this.#socket.on('error', () => {})
      this.#socket.once('close', () => {
        resolve()
        this.#onClose()
      })
    })
  }

  request() {
    const { newest } = this
    const index = this.#log.indexOf(newest, this.#channel) ?? this.#start
    this.#socket.write(
      `GET /?channel=c${this.#channel} HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n` +
        `Last-Event-ID: ${this.#log.idAt(Math.max(index, this.#start))}\r\n\r\n`,
    )
  }

  /** Reads again. */
  resume() {
    this.#isSlow = false
    this.#socket.resume()
  }

  close() {
    this.#isEnded = true
    this.#socket.destroy()
  }

  #onClose() {
    if (this.#isEnded) return
    this.reconnects += 1
    this.#headers = ''
    this.status = ''
    this.reset()
    setTimeout(async () => {
      if (this.#isEnded) return
      await this.connect()
      this.request()
    }, Math.random() * RETRY)
  }

  #onChunk(chunk) {
    if (this.status === '') this.#readHeaders(chunk)
    else this.read(chunk)
    if (this.#isSlow && this.status !== '') this.#socket.pause()
    return true
  }

  #readHeaders(chunk) {
    this.#headers += chunk.toString('latin1')
    const end = this.#headers.indexOf('\r\n\r\n')
    if (end < 0) return
    this.status = this.#headers.slice(9, 12)
    this.#onAnswered()
    const body = this.#headers.slice(end + 4)
    this.#headers = ''
    if (this.status === '200') this.read(Buffer.from(body, 'latin1'))
  }
}

const FIRST = 1_000_000

/** The ids of the events that a log was filled with. */
export class FilledLog {
  #ids
  #channels

  constructor(ids, channels) {
    this.#ids = ids
    this.#channels = channels
  }

  get size() {
    return this.#ids.length
  }

  idAt(index) {
    return this.#ids[index]
  }

  /** Returns the number of the newest event of a channel up to an index. */
  newestUpTo(index, channel) {
    return FIRST + Math.floor((index - channel) / this.#channels) + 1
  }

  /** Returns the index of an event by its number, or undefined if the log does not have it. */
  indexOf(number, channel) {
    const index = (number - FIRST - 1) * this.#channels + channel
    return index >= 0 && index < this.size ? index : undefined
  }
}
