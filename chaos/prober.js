import http from 'node:http'
import { dispatchBlocks } from './blocks.js'
import { KINDS } from './log.js'

// How long a request waits for the gap, in ms.
const PATIENCE = 5_000
// The share of requests that are cut at the response headers.
const CUTS = 0.5

/** Sends requests with invented ids. The first event of each response MUST be a gap. */
export class Prober {
  counts = { sent: 0, gaps: 0, wrong: 0 }
  #ports
  #inventId

  /** `inventId` returns an id that the log does not have. */
  constructor(ports, inventId) {
    this.#ports = ports
    this.#inventId = inventId
  }

  /** Sends a request. It may get no response while a server or the broker is being killed. */
  send() {
    this.counts.sent += 1
    const port = this.#ports[Math.floor(Math.random() * this.#ports.length)]
    const { channels } = KINDS[this.counts.sent % KINDS.length]
    const path = `/?every=1&${channels.map((channel) => `channel=${channel}`).join('&')}`
    const headers = { 'Last-Event-ID': this.#inventId() }
    const request = http.get({ host: '127.0.0.1', port, path, headers, agent: false })
    request.on('error', () => {})
    const isCut = Math.random() < CUTS
    request.on('response', (response) => (isCut ? request.destroy() : this.#read(request, response)))
    const timer = setTimeout(() => request.destroy(), PATIENCE)
    request.once('close', () => clearTimeout(timer))
  }

  #read(request, response) {
    response.on('error', () => {})
    const read = dispatchBlocks(({ event, data }) => {
      if (request.destroyed || data === undefined) return
      this.counts[event === 'gap' ? 'gaps' : 'wrong'] += 1
      request.destroy()
    })
    response.on('data', read)
  }
}
