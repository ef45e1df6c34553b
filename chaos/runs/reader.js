import http from 'node:http'
import { dispatchBlocks } from '../blocks.js'
import { between } from './random.js'
import { Transcript } from './transcript.js'
import { now } from './witness-log.js'

// The share of connections that are cut at a random byte, and of those that are not read for a while.
const CUTS = 0.3
const MAX_BYTES = 4_000
const PAUSES = 0.15
const PAUSE = 1_500
// The share of readers that stop at the last event. The others reconnect and stop at the 204.
const LEAVERS = 0.5

/** A subscriber that reconnects to a random server as `EventSource` does. */
export class Reader {
  cuts = 0
  refusals = 0
  /** The time at which the end of the run was received. */
  endedAt
  transcript
  /** Resolves when nothing more is expected. */
  finished
  #ports
  #random
  #path
  #isLeaver
  #lastEventId
  #request
  #isCalm = false
  #isFinished = false
  #finish

  constructor(plan, generation, ports, random) {
    this.transcript = new Transcript(plan, generation)
    this.#ports = ports
    this.#random = random
    this.#path = `/runs/${plan.id}`
    this.#isLeaver = random() < LEAVERS
    this.finished = new Promise((resolve) => {
      this.#finish = resolve
    })
  }

  get isFinished() {
    return this.#isFinished
  }

  connect() {
    if (this.#isFinished) return
    const port = this.#ports[Math.floor(this.#random() * this.#ports.length)]
    const headers = this.#lastEventId === undefined ? {} : { 'Last-Event-ID': this.#lastEventId }
    const request = http.get({ host: '127.0.0.1', port, path: this.#path, headers, agent: false })
    this.#request = request
    request.on('response', (response) => this.#read(request, response))
    request.on('error', () => {})
    request.once('close', () => {
      if (!this.#isFinished) setTimeout(() => this.connect(), between(this.#random, 20, 200))
    })
  }

  /** Cuts the connection, maybe in the middle of an event. */
  cut() {
    if (!this.#isCalm && !this.#isFinished) this.#cut()
  }

  /** Ends the cuts and pauses. */
  calm() {
    this.#isCalm = true
  }

  end() {
    this.#isFinished = true
    this.#request?.destroy()
    this.#finish()
  }

  #cut() {
    if (!this.#request || this.#request.destroyed) return
    this.cuts += 1
    this.#request.destroy()
  }

  #read(request, response) {
    response.on('error', () => {})
    const { statusCode } = response
    if (statusCode === 204) return this.#onRefused()
    if (statusCode !== 200) {
      if (statusCode === 404 && this.#lastEventId !== undefined)
        this.transcript.report('false 404s', 'received 404')
      return response.resume()
    }
    const isCut = !this.#isCalm && this.#random() < CUTS
    let left = isCut ? this.#random() * MAX_BYTES : Number.POSITIVE_INFINITY
    const dispatch = dispatchBlocks((fields) => this.#dispatch(request, fields))
    response.on('data', (bytes) => {
      if (request.destroyed) return
      dispatch(bytes.subarray(0, left))
      left -= bytes.length
      if (left <= 0) this.#cut()
    })
    if (!this.#isCalm && this.#random() < PAUSES) {
      response.pause()
      setTimeout(() => response.resume(), this.#random() * PAUSE)
    }
  }

  #dispatch(request, { id, event, data }) {
    if (this.#isFinished || request.destroyed) return
    if (id !== undefined) this.#lastEventId = id
    if (data === undefined || !this.transcript.receive(event, data)) return
    this.endedAt ??= now()
    if (this.#isLeaver) this.end()
  }

  #onRefused() {
    this.refusals += 1
    if (!this.transcript.end) this.transcript.report('early 204s', 'received 204')
    this.end()
  }
}
