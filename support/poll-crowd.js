import { once } from 'node:events'
import { connect } from 'node:net'

// Shared by the tests and the benchmarks. Written in JavaScript, so that each version of Node can run it.

// Fewer than the length of a listen queue.
const CONNECTS_AT_ONCE = 500

/** Clients of long polls that have missed the same events, each on a connection of its own. */
export class PollCrowd {
  /** @type {import('node:net').Socket[]} */
  #sockets = []

  /**
   * Opens the connections of `count` clients.
   *
   * @param {number} port
   * @param {number} count
   */
  async open(port, count) {
    while (this.#sockets.length < count) {
      const batch = Array.from({ length: Math.min(CONNECTS_AT_ONCE, count - this.#sockets.length) }, () =>
        connect(port, '127.0.0.1'),
      )
      await Promise.all(batch.map((socket) => once(socket, 'connect')))
      this.#sockets.push(...batch)
    }
  }

  /**
   * Sends the first request of each client at once, and then follows the cursors from page to page up to the last id.
   * Returns how many bytes were read, and how many events each client has received.
   *
   * @param {string} path
   * @param {string} cursor
   * @param {string} lastId
   */
  async catchUp(path, cursor, lastId) {
    const results = await Promise.all(this.#sockets.map((socket) => follow(socket, path, cursor, lastId)))
    return {
      bytes: results.reduce((sum, { bytes }) => sum + bytes, 0),
      events: results.map(({ events }) => events),
    }
  }

  close() {
    for (const socket of this.#sockets) socket.destroy()
  }
}

/**
 * @param {import('node:net').Socket} socket
 * @param {string} path
 * @param {string} cursor
 * @param {string} lastId
 */
async function follow(socket, path, cursor, lastId) {
  const reader = new ResponseReader(socket)
  let [events, bytes] = [0, 0]
  let id = cursor
  while (id !== lastId) {
    socket.write(`GET ${path}?format=json&lastEventId=${id} HTTP/1.1\r\nHost: localhost\r\n\r\n`)
    const body = await reader.next()
    // Thousands of pages would take long to parse.
    const end = /"lastEventId":"([^"]*)","retry":\d+\}\n?$/.exec(body)
    if (!end?.[1]) throw new Error(`Unexpected page: ${body.slice(-200)}`)
    id = end[1]
    events += body.split('{"event":').length - 1
    bytes += body.length
  }
  return { events, bytes }
}

/** Reads the bodies of responses from a connection, one after the other. */
class ResponseReader {
  /** @type {Buffer[]} */
  #chunks = []
  #isClosed = false
  #onChange = () => {}

  /** @param {import('node:net').Socket} socket */
  constructor(socket) {
    socket.on('error', () => {})
    socket.once('close', () => {
      this.#isClosed = true
      this.#onChange()
    })
    socket.on('data', (/** @type {Buffer} */ chunk) => {
      this.#chunks.push(chunk)
      this.#onChange()
    })
  }

  /** Resolves with the body of the next response. Rejects if its status is not 200. */
  async next() {
    for (;;) {
      const bytes = Buffer.concat(this.#chunks)
      this.#chunks = [bytes]
      const body = bodyOf(bytes)
      if (body !== undefined) {
        this.#chunks = []
        return body
      }
      if (this.#isClosed)
        throw new Error(`The connection was closed after ${bytes.length} bytes of a response.`)
      await new Promise((resolve) => {
        this.#onChange = () => resolve(undefined)
      })
    }
  }
}

/**
 * Returns the body of a response, or undefined if it is incomplete.
 *
 * @param {Buffer} bytes
 */
function bodyOf(bytes) {
  const end = bytes.indexOf('\r\n\r\n')
  if (end < 0) return undefined
  const headers = bytes.toString('latin1', 0, end)
  if (!headers.startsWith('HTTP/1.1 200 ')) throw new Error(`Unexpected response: ${headers}`)
  const body = bytes.subarray(end + 4)
  const [, length] = /\r\ncontent-length: (\d+)/i.exec(headers) ?? []
  if (length) return body.length < Number(length) ? undefined : body.toString()
  return dechunk(body)
}

/** @param {Buffer} body */
function dechunk(body) {
  let [text, start] = ['', 0]
  for (;;) {
    const lineEnd = body.indexOf('\r\n', start)
    const size = lineEnd < 0 ? 0 : Number.parseInt(body.toString('latin1', start, lineEnd), 16)
    const next = lineEnd + 2 + size + 2
    if (lineEnd < 0 || body.length < next) return undefined
    if (size === 0) return text
    text += body.toString('latin1', lineEnd + 2, next - 2)
    start = next
  }
}
