import { setTimeout as pause } from 'node:timers/promises'
import { generate } from 'selfsigned'
import { Hub } from 'spillway'
import { freePort } from '../../support/broker.js'
import { launchNginx } from '../../support/proxies.js'
import { CLIENT_CORE, SERVER_CORE, start } from '../lib/child.js'
import { createStore } from './store.js'

// In ms. A session of a few seconds then has several heartbeats.
const HEARTBEAT = 1000
const RETRY = 300
const LIMIT = 60_000

// A cut of the server is not the end of a body over HTTP/1.1 only.
const HTTP_1_1 = 'proxy_http_version 1.1; proxy_set_header Connection "";'

let trials = 0

/** A channel on Redis, a server, and a process with sessions of the client. The events are the numbers from 0. */
export class Trial {
  server
  clients
  /** What is between the clients and the server: an nginx, and a slow network in front of it. */
  proxy
  network
  #options
  #scheme
  #hub
  #news
  #published = 0
  #start
  #timer

  /** `http2` is `node` for a server that speaks HTTP/2, and `nginx` for a proxy that does. */
  static async open({ redis, server, network, http2 }) {
    const trial = new Trial()
    const key = `fallback-${++trials}`
    const port = await freePort()
    const tls = http2 && (await createCertificate())
    trial.#scheme = http2 ? 'https' : 'http'
    trial.#options = { redis, key, port, heartbeat: HEARTBEAT, retry: RETRY, ...server }
    if (http2 === 'node') trial.#options.tls = tls
    if (http2 === 'nginx') trial.proxy = await launchNginx(port, { listen: 'http2', location: HTTP_1_1, tls })
    trial.#hub = new Hub({ store: createStore(redis, key) })
    trial.#news = trial.#hub.channel('news')
    trial.#start = await trial.#news.publish({ event: 'start', data: 'start' })
    trial.clients = start(new URL('./sessions.js', import.meta.url), { core: CLIENT_CORE })
    await trial.#launch()
    if (network) trial.network = startNetwork({ target: trial.proxy?.port ?? port, ...network })
    return trial
  }

  /** Returns the origin of the network, of the proxy or of the server. */
  async origin() {
    const port = (await this.network?.ask('port')) ?? this.proxy?.port ?? this.#options.port
    return `${this.#scheme}://127.0.0.1:${port}`
  }

  get port() {
    return this.#options.port
  }

  async #launch() {
    const args = [JSON.stringify(this.#options)]
    this.server = start(new URL('./server.js', import.meta.url), { core: SERVER_CORE, args })
    await this.server.ask('port')
  }

  /** Begins a session for each URL. */
  connect(urls) {
    return this.clients.ask('open', { urls, lastEventId: this.#start })
  }

  async publish(count) {
    const data = Array.from({ length: count }, () => this.#published++)
    await Promise.all(data.map((number) => this.#news.publish({ data: number })))
  }

  publishEach(ms) {
    if (ms) this.#timer = setInterval(() => this.publish(1), ms)
  }

  /** Closes the server gracefully, and starts another one. Resolves when the clients have connected again. */
  async restart() {
    await this.server.ask('shutdown')
    await this.kill()
  }

  /** Ends the process of the server, and starts another one. Resolves when the clients have connected again. */
  async kill() {
    await this.crash()
    await this.connected()
  }

  async crash() {
    await this.server.stop()
    await pause(300)
    await this.#launch()
  }

  /** Stops the process of the clients for a time in ms, or for the longer time that something else takes. */
  async sleep(ms, meanwhile) {
    process.kill(this.clients.pid, 'SIGSTOP')
    await Promise.all([pause(ms), meanwhile?.()])
    process.kill(this.clients.pid, 'SIGCONT')
  }

  connected() {
    return this.until(({ open }, all) => open === all)
  }

  /** Resolves when the numbers of sessions fulfil a condition, or with false after a minute. */
  async until(condition) {
    for (let waited = 0; waited < LIMIT; waited += 100) {
      const counts = await this.clients.ask('count')
      if (condition(counts, counts.all)) return true
      await pause(100)
    }
    return false
  }

  /** Publishes the last event, and returns the reports of the sessions when they have received it. */
  async finish() {
    clearInterval(this.#timer)
    await this.publish(1)
    await this.#news.publish({ event: 'end', data: 'end' })
    await this.until(({ complete }, all) => complete === all)
    const reports = await this.clients.ask('reports')
    // A session has all events if it has as many as were published, in order.
    return reports.map((report) => ({
      ...report,
      isExact: report.isExact && report.events === this.#published,
    }))
  }

  async end() {
    clearInterval(this.#timer)
    await Promise.all([
      this.server.stop(),
      this.clients.stop(),
      this.network?.stop(),
      this.proxy?.end(),
      this.#hub._store.close(),
    ])
  }
}

function startNetwork(options) {
  const args = [JSON.stringify(options)]
  return start(new URL('./network-process.js', import.meta.url), { core: CLIENT_CORE, args })
}

/** Returns a certificate for the name `localhost`. */
export async function createCertificate() {
  const { private: key, cert } = await generate([{ name: 'commonName', value: 'localhost' }], {
    keyType: 'ec',
  })
  return { key, cert }
}
