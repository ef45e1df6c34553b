import { setTimeout as pause } from 'node:timers/promises'
import { between } from './random.js'

// Times in ms. `calm` is the time from one trouble of a process to the next, at a rate of 1.
const SERVER = { calm: [4_000, 16_000], downtime: [0, 1_000] }
const BROKER = { calm: [4_000, 10_000], downtime: [0, 1_000], freeze: [100, 2_000] }
// An outage in which calls of a store time out.
const LONG_OUTAGE = { share: 0.1, downtime: [5_500, 7_000] }
// The share of troubles in which a process is frozen and not killed, and for how many leases a server is.
const FREEZES = 0.5
const LEASES = [0.1, 2.5]
const CUT_INTERVAL = 50

/** Kills, freezes and restarts processes at random, and cuts connections. */
export class Trouble {
  counts = { 'kills of servers': 0, 'frozen servers': 0, 'kills of the broker': 0, 'frozen brokers': 0 }
  /** A line for each trouble, with its times in s since the start. */
  history = []
  #startedAt = Date.now()
  #random
  #rate
  #lease
  #ending = new AbortController()
  #loops = []

  constructor(random, { rate, lease }) {
    this.#random = random
    this.#rate = rate
    this.#lease = lease
  }

  addServer(server) {
    const freezing = LEASES.map((leases) => leases * this.#lease)
    const freeze = () =>
      this.#freeze(
        () => server.freeze(),
        () => server.thaw(),
        freezing,
        'frozen servers',
      )
    const kill = () => this.#kill(server, SERVER.downtime, 'kills of servers')
    this.#loops.push(this.#loop(SERVER.calm, freeze, kill))
  }

  addBroker(broker) {
    const signal = (name) => () => process.kill(broker.pid, name)
    const freeze = () => this.#freeze(signal('SIGSTOP'), signal('SIGCONT'), BROKER.freeze, 'frozen brokers')
    const kill = () => {
      const { downtime } = this.#random() < LONG_OUTAGE.share ? LONG_OUTAGE : BROKER
      return this.#kill(broker, downtime, 'kills of the broker')
    }
    this.#loops.push(this.#loop(BROKER.calm, freeze, kill))
  }

  /** Cuts the connection of one of the readers again and again. */
  addReaders(readers) {
    const cut = () => {
      const all = readers()
      all[Math.floor(this.#random() * all.length)]?.cut()
    }
    this.#loops.push(this.#loop([CUT_INTERVAL, CUT_INTERVAL], cut, cut))
  }

  /** Resolves when every process runs again. */
  async end() {
    this.#ending.abort()
    await Promise.all(this.#loops)
  }

  async #loop([min, max], freeze, kill) {
    const { signal } = this.#ending
    while (!signal.aborted) {
      await pause(between(this.#random, min, max) / this.#rate, undefined, { signal }).catch(() => {})
      if (!signal.aborted) await (this.#random() < FREEZES ? freeze() : kill())
    }
  }

  async #freeze(freeze, thaw, [min, max], name) {
    const from = this.#seconds
    freeze()
    await pause(between(this.#random, min, max))
    thaw()
    this.#note(name, from)
  }

  async #kill(target, [min, max], name) {
    const from = this.#seconds
    await target.stop()
    await pause(between(this.#random, min, max))
    await target.start()
    this.#note(name, from)
  }

  #note(name, from) {
    this.counts[name] += 1
    this.history.push(`${from} to ${this.#seconds} s: ${name}`)
  }

  get #seconds() {
    return (Date.now() - this.#startedAt) / 1_000
  }
}
