import http from 'node:http'
import { Ledger } from './ledger.js'

// The share of connections that are cut before the response headers, and at a random byte of the body.
const EARLY_CUTS = 0.1
const BYTE_CUTS = 0.5
// How many of the other cuts are applied to a client with rare events, so that it stays connected for a while.
const RARE_CUTS = 0.1
const MAX_BYTES = 1_500
// A client that was subscribed for so long must have a position, in ms.
const PATIENCE = 500

/** A client that starts without an id, reconnects to a random server, and is cut from the first byte on. */
export class Client {
  disconnects = 0
  cuts = 0
  ledger
  #log
  #kind
  #ports
  #lastEventId = ''
  #request
  #isCutting = true
  #isEnded = false

  constructor(log, kind, ports) {
    this.ledger = new Ledger(log, kind)
    this.#log = log
    this.#kind = kind
    this.#ports = ports
  }

  connect() {
    if (this.#isEnded) return
    const { channels, every } = this.#kind
    const port = this.#ports[Math.floor(Math.random() * this.#ports.length)]
    const query = [...channels.map((channel) => `channel=${channel}`), `every=${every}`].join('&')
    const headers = this.#lastEventId === '' ? {} : { 'Last-Event-ID': this.#lastEventId }
    const request = http.get({ host: '127.0.0.1', port, path: `/?${query}`, headers, agent: false })
    this.#request = request
    if (this.#isCutting && Math.random() < EARLY_CUTS) setTimeout(() => this.#cut(request), Math.random() * 5)
    request.on('response', (response) => this.#read(response))
    request.on('error', () => {})
    request.once('close', () => {
      if (this.#isEnded) return
      this.disconnects += 1
      setTimeout(() => this.connect(), 20 + Math.random() * 200)
    })
  }

  /** Cuts the connection, maybe in the middle of an event. */
  cut() {
    if (this.#request && Math.random() < (this.#kind.isRare ? RARE_CUTS : 1)) this.#cut(this.#request)
  }

  /** Keeps the connections from now on. */
  calm() {
    this.#isCutting = false
  }

  end() {
    this.#isEnded = true
    this.#request?.destroy()
  }

  #cut(request) {
    if (request.destroyed) return
    this.cuts += 1
    request.destroy()
  }

  #read(response) {
    const since = this.#log.started
    const openedAt = Date.now()
    const isSubscribed = response.headers['x-state'] === 'ready'
    let left =
      this.#isCutting && Math.random() < BYTE_CUTS ? Math.random() * MAX_BYTES : Number.POSITIVE_INFINITY
    let rest = ''
    response.on('error', () => {})
    response.on('data', (bytes) => {
      if (response.destroyed) return
      // The text of the events is ASCII.
      const blocks = (rest + bytes.subarray(0, left).toString('latin1')).split('\n\n')
      left -= bytes.length
      rest = blocks.pop() ?? ''
      for (const block of blocks) this.#dispatch(block)
      if (left <= 0) this.#cut(this.#request)
    })
    response.once('close', () => {
      const wasSubscribed = isSubscribed && Date.now() - openedAt > PATIENCE
      if (wasSubscribed && this.#lastEventId === '') this.ledger.subscribed(since)
    })
  }

  #dispatch(block) {
    const fields = Object.fromEntries(
      block.split('\n').map((line) => [line.split(': ', 1)[0], line.split(': ').slice(1).join(': ')]),
    )
    if (fields.id !== undefined) this.#lastEventId = fields.id
    if (fields.event === 'gap') this.ledger.gap()
    else if (fields.event === 'position') this.ledger.position(fields.id)
    else if (fields.data !== undefined) this.ledger.event(JSON.parse(fields.data).n)
  }
}
