import { once } from 'node:events'
import http from 'node:http'

/**
 * A client that reconnects to a random server and checks what it receives: each event of its channels exactly once and
 * in order, or a gap before a missing event.
 */
export class Client {
  deliveries = 0
  disconnects = 0
  gaps = 0
  duplicates = 0
  losses = 0
  reorderings = 0
  #channels
  #ports
  #lastEventId = ''
  // The number of the newest event on each channel, as counted by the publisher.
  #newest = new Map()
  // The channels that may skip events, because a gap was received.
  #gapChannels = new Set()
  #request
  #isEnded = false

  constructor(channels, ports) {
    this.#channels = channels
    this.#ports = ports
  }

  /** Connects. Resolves when the first byte has arrived, so that the server has subscribed the client. */
  async connected() {
    this.connect()
    const [response] = await once(this.#request, 'response')
    await once(response, 'data')
  }

  connect() {
    if (this.#isEnded) return
    const port = this.#ports[Math.floor(Math.random() * this.#ports.length)]
    const query = this.#channels.map((channel) => `channel=${channel}`).join('&')
    const headers = this.#lastEventId === '' ? {} : { 'Last-Event-ID': this.#lastEventId }
    const request = http.get({ host: '127.0.0.1', port, path: `/?${query}`, headers, agent: false })
    this.#request = request
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
    this.#request?.destroy()
  }

  end() {
    this.#isEnded = true
    this.cut()
  }

  /** True if the client has received the newest event of each of its channels. */
  has(newest) {
    return this.#channels.every((channel) => (this.#newest.get(channel) ?? 0) >= (newest.get(channel) ?? 0))
  }

  #read(response) {
    let rest = ''
    response.setEncoding('utf8')
    response.on('error', () => {})
    response.on('data', (text) => {
      const blocks = (rest + text).split('\n\n')
      rest = blocks.pop() ?? ''
      for (const block of blocks) this.#dispatch(block)
    })
  }

  #dispatch(block) {
    const fields = Object.fromEntries(
      block.split('\n').map((line) => [line.split(': ', 1)[0], line.split(': ').slice(1).join(': ')]),
    )
    if (fields.id !== undefined) this.#lastEventId = fields.id
    if (fields.event === 'gap') {
      this.gaps += 1
      this.#gapChannels = new Set(this.#channels)
    } else if (fields.data !== undefined) this.#account(JSON.parse(fields.data))
  }

  #account({ channel, n }) {
    this.deliveries += 1
    const newest = this.#newest.get(channel) ?? 0
    if (n === newest) this.duplicates += 1
    else if (n < newest) this.reorderings += 1
    else if (n > newest + 1 && !this.#gapChannels.has(channel)) this.losses += n - newest - 1
    this.#gapChannels.delete(channel)
    this.#newest.set(channel, Math.max(n, newest))
  }
}
