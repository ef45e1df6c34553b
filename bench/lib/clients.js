// The clients' process: raw sockets that count, on a core of their own, so that reading costs the server nothing.
import { once } from 'node:events'
import { connect } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { answer } from './child.js'

const REQUEST = 'GET / HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n'

// The end of a line of JSON data: comments, ids and heads have none.
const END = '}\n'
const TIME = /"at":"(\d+)"$/
const TIME_LENGTH = 32

class Client {
  events = 0
  #socket
  #isTimed
  #tail = Buffer.alloc(0)

  constructor(port, { isTimed = false }) {
    this.#isTimed = isTimed
    this.#socket = connect({ port, host: '127.0.0.1' }, () => this.#socket.write(REQUEST))
    // A server that cuts a slow client is part of what is measured.
    this.#socket.on('error', () => {})
  }

  /** Resolves when the head and the first byte of the body are here. */
  async opened() {
    let head = ''
    while (!/\r\n\r\n./s.test(head)) {
      const [chunk] = await once(this.#socket, 'data')
      head += chunk.toString('latin1')
    }
    if (!head.startsWith('HTTP/1.1 200')) throw new Error(`Refused: ${head.slice(0, 80)}`)
    this.#socket.on('data', (chunk) => this.#read(chunk))
  }

  /** From now on the kernel's buffers fill, and then the server's. */
  stopReading() {
    this.#socket.removeAllListeners('data')
    this.#socket.pause()
  }

  close() {
    this.#socket.destroy()
  }

  // What may be cut at the end of a chunk is kept, in front of the next one.
  #read(chunk) {
    const text = this.#tail.length === 0 ? chunk : Buffer.concat([this.#tail, chunk])
    let from = 0
    for (let at = text.indexOf(END); at >= 0; at = text.indexOf(END, from)) {
      this.events += 1
      total += 1
      if (this.#isTimed) recordLatency(text.latin1Slice(Math.max(0, at - TIME_LENGTH), at))
      from = at + END.length
    }
    this.#tail = text.subarray(Math.max(from, text.length - (this.#isTimed ? TIME_LENGTH : 1)))
  }
}

let total = 0
let clients = []
let stalled = []
let latencies = []

// The monotonic clock is one for all processes of a machine.
function recordLatency(text) {
  const sentAt = TIME.exec(text)?.[1]
  if (sentAt) latencies.push(Number(process.hrtime.bigint() - BigInt(sentAt)) / 1e6)
}

async function open({ port, count, concurrency = 50, isTimed = false }) {
  const opened = []
  for (let i = 0; i < count; i += concurrency) {
    const batch = Array.from(
      { length: Math.min(concurrency, count - i) },
      () => new Client(port, { isTimed }),
    )
    await Promise.all(batch.map((client) => client.opened()))
    opened.push(...batch)
  }
  clients.push(...opened)
}

/** Every n-th client reads no more. Returns how many these are. */
function stall({ every }) {
  const isStalled = (_, i) => i % every === 0
  stalled = clients.filter(isStalled)
  clients = clients.filter((client, i) => !isStalled(client, i))
  for (const client of stalled) client.stopReading()
  return stalled.length
}

/** Waits until so many events are here, and fails when there are fewer or more: a figure counts only if all arrived. */
async function receive({ events, eachOf = clients.length, timeout = 30_000 }) {
  const expected = events * eachOf
  const deadline = performance.now() + timeout
  while (total < expected && performance.now() < deadline) await sleep(2)
  await sleep(20)
  const uneven = clients.filter((client) => client.events !== events).length
  if (total === expected && uneven === 0) return forget()
  throw new Error(`${total} of ${expected} events arrived, ${uneven} clients have not ${events} each.`)
}

function forget() {
  const received = total
  total = 0
  for (const client of clients) client.events = 0
  return received
}

/** The latencies since the last time, in ms. */
function takeLatencies() {
  const sorted = Float64Array.from(latencies).sort()
  latencies = []
  const at = (share) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))]
  return { count: sorted.length, p50: at(0.5), p99: at(0.99), max: sorted.at(-1) }
}

function close() {
  for (const client of [...clients, ...stalled]) client.close()
  clients = []
  stalled = []
  total = 0
}

answer({ open, stall, receive, takeLatencies, close })
