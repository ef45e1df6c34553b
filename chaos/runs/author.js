import http from 'node:http'
import { setTimeout as pause } from 'node:timers/promises'
import { planOf } from './plan.js'
import { between, randomOf } from './random.js'
import { Reader } from './reader.js'
import { now } from './witness-log.js'

const READERS = 3
// The share of lost runs that are removed and started again with the same id.
const RESTARTS = 0.5
const MAX_GENERATIONS = 3
const RETRY_DELAY = 100
// The latest time at which a reader subscribes, in ms after the start. Some readers subscribe early, others late.
const MAX_DELAY = 2_500

/** Starts a run, reads it, may stop it, and may start it again after it was lost. */
export class Author {
  /** What happened in each generation: its readers, and when it was requested and reported to be stopped. */
  generations = []
  plan
  #ports
  #random

  constructor(id, { seed, lease, ports }) {
    this.plan = planOf(seed, id, lease)
    this.#ports = ports
    this.#random = randomOf(`${seed} author of ${id}`)
  }

  get readers() {
    return this.generations.flatMap(({ readers }) => readers)
  }

  async run() {
    for (let generation = 1; generation <= MAX_GENERATIONS; generation++) {
      await this.#runOnce(generation)
      const isLost = this.readers.at(-1)?.transcript.end === 'lost'
      if (!isLost || this.#random() >= RESTARTS) return
      await this.#send('DELETE', '?remove=yes')
    }
  }

  async #runOnce(generation) {
    const { plan } = this
    const readers = Array.from(
      { length: READERS },
      () => new Reader(plan, generation, this.#ports, this.#random),
    )
    const record = { generation, readers, stopRequested: false, stoppedAt: undefined, startedAt: now() }
    this.generations.push(record)
    const starts = Array.from({ length: plan.starters }, () =>
      this.#send('POST', `?generation=${generation}`),
    )
    for (const reader of readers) setTimeout(() => reader.connect(), this.#random() * MAX_DELAY)
    await Promise.all(starts)
    await Promise.all([this.#stop(record), ...readers.map(({ finished }) => finished)])
  }

  async #stop(record) {
    const { stopAfter } = this.plan
    if (stopAfter === undefined) return
    await pause(stopAfter)
    record.stopRequested = true
    if (await this.#send('DELETE', '')) record.stoppedAt = now()
  }

  /** Sends a request to one server after another until one has responded. Resolves with its response. */
  async #send(method, query) {
    for (;;) {
      const port = this.#ports[Math.floor(this.#random() * this.#ports.length)]
      const { status, body } = await request(method, port, `/runs/${this.plan.id}${query}`)
      if (status === 200) return JSON.parse(body)
      if (status === 201 || status === 409) return true
      await pause(between(this.#random, 0, RETRY_DELAY))
    }
  }
}

// Has no timeout, because a frozen server would execute the request later, when the id may belong to another run.
function request(method, port, path) {
  return new Promise((resolve) => {
    const onError = () => resolve({ status: 0, body: '' })
    const sent = http.request({ method, host: '127.0.0.1', port, path, agent: false }, (response) => {
      let body = ''
      response.on('data', (text) => {
        body += text
      })
      response.on('end', () => resolve({ status: response.statusCode, body })).on('error', onError)
    })
    sent.on('error', onError).end()
  })
}
