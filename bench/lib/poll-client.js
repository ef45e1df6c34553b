import { connect } from 'node:net'

// All sockets read into the same buffer, as in `Http1Client`.
const memory = Buffer.alloc(64 * 1024)
const HEADERS_END = '\r\n\r\n'
const EMPTY = Buffer.alloc(0)
// Events are numbered `"n":1000000`.
const NUMBER = '"n":'
const NUMBER_LENGTH = 7

/**
 * The sums of all clients of the process. An item of `arrivals` has the number of an event and its time of arrival, in
 * ms.
 */
export const totals = { responses: 0, events: 0, bytes: 0, arrivals: [] }

/** Returns monotonic time in ms, which all processes of a machine share. */
export function now() {
  return Number(process.hrtime.bigint()) / 1e6
}

/** A client that polls over one connection. */
export class PollClient {
  /** The number of the newest event. */
  newest
  #socket
  #path
  #interval
  #cursor
  #sentAt = 0
  #timer
  #received = EMPTY
  isClosed = false

  /**
   * With an `interval` in ms, requests the same path at that interval. Otherwise requests the events after its cursor,
   * again after each response. The first request is sent after `delay` ms.
   */
  constructor({ port, path, interval, delay = 0 }) {
    this.#path = path
    this.#interval = interval
    const onread = { buffer: memory, callback: (size) => this.#onChunk(memory.subarray(0, size)) }
    this.#socket = connect({ port, host: '127.0.0.1', onread }, () => this.#requestAfter(delay))
    this.#socket.on('error', () => {})
    this.#socket.once('close', () => {
      this.isClosed = true
    })
  }

  /** Resolves when it is connected. */
  opened() {
    return new Promise((resolve, reject) => {
      this.#socket.once('connect', resolve)
      this.#socket.once('close', () => reject(new Error('Refused')))
    })
  }

  close() {
    clearTimeout(this.#timer)
    this.#socket.destroy()
  }

  #requestAfter(delay) {
    if (delay > 0) this.#timer = setTimeout(() => this.#request(), delay)
    else this.#request()
  }

  #request() {
    this.#sentAt = now()
    const cursor = this.#cursor ? `&lastEventId=${this.#cursor}` : ''
    this.#socket.write(`GET ${this.#path}${cursor} HTTP/1.1\r\nHost: localhost\r\n\r\n`)
  }

  #onChunk(chunk) {
    totals.bytes += chunk.length
    this.#received = Buffer.concat([this.#received, chunk])
    const body = bodyOf(this.#received)
    if (body === undefined) return true
    this.#received = EMPTY
    this.#read(body)
    this.#requestAfter(this.#interval ? this.#sentAt + this.#interval - now() : 0)
    return true
  }

  #read(body) {
    totals.responses += 1
    const at = body.lastIndexOf(NUMBER)
    if (at >= 0) this.#arrived(Number(body.substr(at + NUMBER.length, NUMBER_LENGTH)))
    if (this.#interval) return
    this.#cursor = /"lastEventId":"([^"]*)","retry":0\}\n$/.exec(body)?.[1]
    if (!this.#cursor) throw new Error(`Unexpected response: ${body}`)
  }

  #arrived(number) {
    const arrivedAt = now()
    this.newest ??= number - 1
    for (let n = this.newest + 1; n <= number; n++) {
      totals.events += 1
      totals.arrivals.push([n, arrivedAt])
    }
    this.newest = Math.max(this.newest, number)
  }
}

/** Returns the body of a response, or undefined if it is incomplete. */
function bodyOf(bytes) {
  const end = bytes.indexOf(HEADERS_END)
  if (end < 0) return undefined
  const headers = bytes.latin1Slice(0, end)
  if (!headers.startsWith('HTTP/1.1 200 ')) throw new Error(`Unexpected response: ${headers}`)
  const length = Number(/\r\ncontent-length: (\d+)/i.exec(headers)[1])
  const start = end + HEADERS_END.length
  return bytes.length < start + length ? undefined : bytes.latin1Slice(start, start + length)
}
