// The client process. Its raw sockets count events on a separate core, so that reading does not cost the server CPU time.
import { connect } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { respond } from './child.js'

// The end of a line of JSON data. Comments, ids and headers do not contain it.
const START = '{'
const BRACE = START.charCodeAt(0)
const END = '}\n'
const TIME = /"at":"(\d+)"$/
const TIME_LENGTH = 32
// Numbered events end with `"n":1000000,"at":"0000000000000000"}`, so that the number has a fixed position.
const NUMBER_LENGTH = 7
const NUMBER_BEFORE_END = '1000000,"at":"0000000000000000"'.length
const KEPT = 64
const EMPTY = Buffer.alloc(0)

// All sockets read into the same buffer, because a stream and a buffer per read would cost more than the server.
const memory = Buffer.alloc(64 * 1024)

class Client {
  events = 0
  /** The number of the newest event. */
  newest = 0
  #socket
  #isTimed
  #isNumbered
  #headers = ''
  #tail = EMPTY
  #onOpen

  constructor(port, { isTimed = false, isNumbered = false, lastEventId }) {
    this.#isTimed = isTimed
    this.#isNumbered = isNumbered
    const onread = { buffer: memory, callback: (size) => this.#onChunk(memory.subarray(0, size)) }
    this.#socket = connect({ port, host: '127.0.0.1', onread }, () =>
      this.#socket.write(requestFrom(lastEventId)),
    )
    // Some benchmarks measure a server that disconnects slow clients.
    this.#socket.on('error', () => {})
  }

  /** Resolves when the response headers and the first byte of the body have arrived. */
  opened() {
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
    else this.#read(chunk)
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
    this.#read(Buffer.from(body, 'latin1'))
  }

  // An event may be split at the end of a chunk, so its first part is kept for the next chunk.
  #read(chunk) {
    const hasTail = this.#tail.length > 0
    const text = hasTail ? Buffer.concat([this.#tail, chunk]) : chunk
    let from = 0
    for (let at = text.indexOf(END); at >= 0; at = text.indexOf(END, from)) {
      // The data of a position, which a hub sends each client, is `{}`.
      if (text[at - 1] !== BRACE) this.#count(text, at)
      from = at + END.length
    }
    const isInEvent = (from === 0 && hasTail) || text.indexOf(START, from) >= 0
    this.#tail = isInEvent ? Buffer.from(text.subarray(Math.max(from, text.length - KEPT))) : EMPTY
  }

  #count(text, end) {
    this.events += 1
    total += 1
    if (this.#isNumbered) this.#checkNumber(text, end)
    if (this.#isTimed) recordLatency(text.latin1Slice(Math.max(0, end - TIME_LENGTH), end))
  }

  #checkNumber(text, end) {
    const start = end - NUMBER_BEFORE_END
    let number = 0
    for (let i = start; i < start + NUMBER_LENGTH; i++) number = number * 10 + text[i] - 48
    if (this.newest !== 0 && number !== this.newest + 1) disorder += 1
    this.newest = number
  }
}

let total = 0
let disorder = 0
let clients = []
let stalled = []
let latencies = []

function requestFrom(lastEventId) {
  const resume = lastEventId === undefined ? '' : `Last-Event-ID: ${lastEventId}\r\n`
  return `GET / HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n${resume}\r\n`
}

// All processes of a machine share the monotonic clock.
function recordLatency(text) {
  const sentAt = TIME.exec(text)?.[1]
  if (sentAt) latencies.push(Number(process.hrtime.bigint() - BigInt(sentAt)) / 1e6)
}

async function open({ port, count, concurrency = 50, ...options }) {
  const opened = []
  for (let i = 0; i < count; i += concurrency) {
    const batch = Array.from({ length: Math.min(concurrency, count - i) }, () => new Client(port, options))
    await Promise.all(batch.map((client) => client.opened()))
    opened.push(...batch)
  }
  clients.push(...opened)
}

/** Makes every n-th client stop reading. Returns the number of these clients. */
function stall({ every }) {
  const isStalled = (_, i) => i % every === 0
  stalled = clients.filter(isStalled)
  clients = clients.filter((client, i) => !isStalled(client, i))
  for (const client of stalled) client.stopReading()
  return stalled.length
}

/**
 * Waits until each client has received `events` events. Throws if there are fewer or more, because a figure is only valid
 * if all have arrived. Numbered events must have arrived in order and without a gap, up to `newest`.
 */
async function receive({ events, newest, eachOf = clients.length, timeout = 30_000 }) {
  const expected = events * eachOf
  const deadline = performance.now() + timeout
  while (total < expected && performance.now() < deadline) await sleep(2)
  await sleep(20)
  const uneven = clients.filter((client) => client.events !== events).length
  const behind = newest === undefined ? 0 : clients.filter((client) => client.newest !== newest).length
  if (total === expected && uneven + behind + disorder === 0) return forget()
  throw new Error(
    `${total} of ${expected} events arrived, ${uneven} clients have not ${events} each, ` +
      `${behind} have not the newest, ${disorder} events are out of order.`,
  )
}

function forget() {
  const received = total
  total = 0
  for (const client of clients) client.events = 0
  return received
}

/** Returns the latencies since the last call, in ms. */
function takeLatencies() {
  const sorted = Float64Array.from(latencies).sort()
  latencies = []
  const at = (share) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))]
  return { count: sorted.length, p50: at(0.5), p99: at(0.99), max: sorted.at(-1) }
}

let mark

function startMeasuring() {
  mark = { cpu: process.cpuUsage(), time: performance.now() }
}

/** Returns the share of its core that this process has used. Close to 1, the clients limit the figures. */
function busy() {
  const { user, system } = process.cpuUsage(mark.cpu)
  return (user + system) / 1000 / (performance.now() - mark.time)
}

function close() {
  for (const client of [...clients, ...stalled]) client.close()
  clients = []
  stalled = []
  total = 0
}

respond({ open, stall, receive, takeLatencies, startMeasuring, busy, close })
