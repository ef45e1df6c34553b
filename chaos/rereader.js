import { setTimeout as pause } from 'node:timers/promises'
import { Client } from './client.js'
import { LARGE_KIND } from './log.js'

// The share of the window within which the positions are, so that none is evicted during the replay.
const SHARE = 0.5
const INTERVAL = 50

/**
 * Resumes again and again, each time at another position of the log. It reads late. It disconnects once it has received
 * the events that were published before.
 */
export class Rereader {
  /** The client of each position. */
  clients = []
  /** The client that is still reading. */
  current
  #log
  #ports
  #isFinished = false

  constructor(log, ports) {
    this.#log = log
    this.#ports = ports
  }

  async run() {
    while (!this.#isFinished) {
      const start = this.#log.started - Math.ceil(Math.random() * SHARE * this.#log.window)
      if (this.#log.idOf(start) !== undefined) await this.#read(start)
      await pause(INTERVAL)
    }
  }

  /** Begins no other replay. */
  finish() {
    this.#isFinished = true
  }

  async #read(start) {
    const until = this.#log.started
    const client = new Client(this.#log, LARGE_KIND, this.#ports, { start, isSlow: true })
    this.clients.push(client)
    this.current = client
    client.connect()
    while (!client.ledger.hasReached(until)) {
      if (this.#isFinished) return
      await pause(INTERVAL)
    }
    client.end()
    this.current = undefined
  }
}
