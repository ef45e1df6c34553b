import { startClients, startServer } from './bench.js'

const FAN_OUT = new URL('../fan-out/server.js', import.meta.url)

/** Starts a server of `fan-out/`, and one process with its clients, which stay connected. */
export async function startCrowd(contender, count, { server: url = FAN_OUT, ...options } = {}) {
  const [server, clients] = await Promise.all([startServer(url, contender), startClients()])
  const crowd = new Crowd(server, clients)
  await crowd.open(count, options)
  return crowd
}

class Crowd {
  #count = 0

  constructor(server, clients) {
    this.server = server
    this.clients = clients
  }

  async open(count, options = {}) {
    await this.clients.ask('open', { port: this.server.port, count, isNumbered: true, ...options })
    this.#count = count
    await this.server.hasStreams(count)
  }

  async close() {
    await this.clients.ask('close')
    await this.server.hasStreams(0)
  }

  /** Publishes events. Resolves with the number of the newest event when all clients have received all of them. */
  async publish(publishing) {
    const newest = await this.server.run('publish', publishing)
    await this.clients.ask('receive', { events: publishing.count, newest })
    return newest
  }

  /** Returns the server's CPU time per event and client, in µs, and the CPU usage of the client process. */
  async measure(publishing) {
    await this.clients.ask('startMeasuring')
    const { cpu, user } = await this.server.measure(() => this.publish(publishing))
    const deliveries = publishing.count * this.#count
    return { cpu: cpu / deliveries, user: user / deliveries, busy: await this.clients.ask('busy') }
  }

  async stop() {
    await Promise.all([this.server.stop(), this.clients.stop()])
  }
}
