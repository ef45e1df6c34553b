import http from 'node:http'
import { dispatchBlocks } from './blocks.js'
import { Ledger } from './ledger.js'

// The share of connections that are cut before the response headers, and at a random byte of the body.
const EARLY_CUTS = 0.1
const BYTE_CUTS = 0.5
// The share of the other cuts that are applied to a client with rare events, so that it stays connected for a while.
const RARE_CUTS = 0.1
const MAX_BYTES = { small: 1_500, large: 600_000 }
// A client that was subscribed for longer than this MUST have a position, in ms.
const PATIENCE = 2_000
// The share of connections of a slow client that are not read after the response headers, and for how long, in ms.
const SLOW_SHARE = 0.7
const SLOW_TIME = 2_000

/**
 * A client that reconnects to a random server, and is cut from the first byte on. It starts without an id, or after the
 * event `start`. A slow client stops reading for a while when a replay begins.
 */
export class Client {
  disconnects = 0
  cuts = 0
  pauses = 0
  ledger
  #log
  #kind
  #ports
  #isSlow
  #lastEventId
  #request
  #retry
  #isCutting = true
  #isAway = false
  #isEnded = false

  constructor(log, kind, ports, { start, isSlow = false } = {}) {
    this.ledger = new Ledger(log, kind, start)
    this.#log = log
    this.#kind = kind
    this.#ports = ports
    this.#isSlow = isSlow
    this.#lastEventId = start === undefined ? '' : log.idOf(start)
  }

  /**
   * Whether the client may be disconnected for a part of the window. The position of a client with rare events may
   * already be old.
   */
  get canLeave() {
    return !this.#kind.isRare
  }

  connect() {
    if (this.#isEnded || this.#isAway) return
    const { channels, every } = this.#kind
    const port = this.#ports[Math.floor(Math.random() * this.#ports.length)]
    const query = [...channels.map((channel) => `channel=${channel}`), `every=${every}`].join('&')
    const headers = this.#lastEventId === '' ? {} : { 'Last-Event-ID': this.#lastEventId }
    const request = http.get({ host: '127.0.0.1', port, path: `/?${query}`, headers, agent: false })
    this.#request = request
    if (this.#isCutting && Math.random() < EARLY_CUTS) setTimeout(() => this.#cut(request), Math.random() * 5)
    request.on('response', (response) => this.#read(response))
    request.on('error', () => {})
    request.once('close', () => this.#onClose())
  }

  /** Cuts the connection, maybe in the middle of an event. */
  cut() {
    if (this.#request && Math.random() < (this.#kind.isRare ? RARE_CUTS : 1)) this.#cut(this.#request)
  }

  /** Disconnects, and keeps the last event id until `rejoin`. */
  leave() {
    this.#isAway = true
    clearTimeout(this.#retry)
    this.#retry = undefined
    this.#request?.destroy()
  }

  /** Reconnects at once. The next replay is read late. */
  rejoin() {
    if (!this.#isAway) return
    this.#isAway = false
    // Otherwise the request that is being closed reconnects.
    if (!this.#request) this.connect()
  }

  /** Ends the random cuts and pauses. */
  calm() {
    this.#isCutting = false
    this.#isSlow = false
  }

  end() {
    this.#isEnded = true
    clearTimeout(this.#retry)
    this.#request?.destroy()
  }

  #onClose() {
    this.#request = undefined
    this.ledger.disconnected()
    if (this.#isEnded || this.#isAway) return
    this.disconnects += 1
    this.#retry = setTimeout(() => this.connect(), 20 + Math.random() * 200)
  }

  #cut(request) {
    if (request.destroyed) return
    this.cuts += 1
    request.destroy()
  }

  #read(response) {
    const request = this.#request
    const since = this.#log.started
    const openedAt = Date.now()
    const isSubscribed = response.headers['x-state'] === 'ready'
    const maxBytes = this.#kind.isLarge ? MAX_BYTES.large : MAX_BYTES.small
    let left =
      this.#isCutting && Math.random() < BYTE_CUTS ? Math.random() * maxBytes : Number.POSITIVE_INFINITY
    const read = dispatchBlocks((fields) => this.#dispatch(fields))
    response.on('error', () => {})
    response.on('data', (bytes) => {
      if (response.destroyed) return
      read(bytes.subarray(0, left))
      left -= bytes.length
      if (left <= 0) this.#cut(request)
    })
    if (this.#isSlow && this.#lastEventId !== '' && Math.random() < SLOW_SHARE) this.#pause(response)
    response.once('close', () => {
      const wasSubscribed = isSubscribed && Date.now() - openedAt > PATIENCE
      if (wasSubscribed && this.#lastEventId === '') this.ledger.subscribed(since)
    })
  }

  // Pauses only a client with an id, because the other clients must receive a position within `PATIENCE`.
  #pause(response) {
    this.pauses += 1
    response.pause()
    setTimeout(() => response.resume(), Math.random() * SLOW_TIME)
  }

  #dispatch({ id, event, data }) {
    if (id !== undefined) this.#lastEventId = id
    if (event === 'gap') this.ledger.gap(id)
    else if (event === 'position') this.ledger.position(id)
    else if (data !== undefined) this.ledger.event(JSON.parse(data))
  }
}
