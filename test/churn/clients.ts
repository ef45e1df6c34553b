import http2 from 'node:http2'
import net from 'node:net'
import { integer, type Moment, oneOf, type Random, randomMoment } from './moments.ts'

/** Where the server of a churn listens. The Unix socket has small buffers. */
export interface Address {
  readonly port: number
  readonly socketPath: string
}

const FORMATS = ['', '', '', 'Accept: application/x-ndjson\r\n', 'Accept: application/json\r\n']
const ENCODINGS = ['', '', 'Accept-Encoding: gzip\r\n']

// A client reconnects with one of so many ids that were seen last.
const IDS = 100

/** The clients of one server. Each connects once, and disconnects at a random moment. */
export class Clients {
  readonly #address: Address
  readonly #random: Random
  readonly #isHttp2: boolean
  readonly #ids: string[] = []
  /** How many clients have disconnected at each moment. */
  readonly moments: Record<string, number> = {}

  constructor(address: Address, random: Random, isHttp2: boolean) {
    this.#address = address
    this.#random = random
    this.#isHttp2 = isHttp2
  }

  /** Connects a number of clients, some of them at the same time. Resolves when all have disconnected. */
  async connect(count: number, parallel = 60): Promise<void> {
    let left = count
    const work = async () => {
      while (left > 0) {
        const size = this.#isHttp2 ? Math.min(left, integer(this.#random, 1, 4)) : 1
        left -= size
        await (this.#isHttp2 ? this.#session(size) : this.#connection())
      }
    }
    await Promise.all(Array.from({ length: parallel }, work))
  }

  #nextMoment(): Moment {
    const moment = randomMoment(this.#random)
    this.moments[moment.name] = (this.moments[moment.name] ?? 0) + 1
    return moment
  }

  /** Returns a position for a client to resume from, if an event was received. */
  #idFor({ isReplayed }: Moment): string | undefined {
    return isReplayed && this.#ids.length > 0 ? oneOf(this.#random, this.#ids) : undefined
  }

  #remember(text: string): void {
    const id = /^id: (.+)$/m.exec(text)?.[1]
    if (id === undefined) return
    this.#ids.push(id)
    if (this.#ids.length > IDS) this.#ids.shift()
  }

  #connection(): Promise<void> {
    const moment = this.#nextMoment()
    const { port, socketPath } = this.#address
    const socket = moment.isLagging ? net.connect(socketPath) : net.connect(port, '127.0.0.1')
    const request = this.#requestOf(moment)
    // The second half of a request follows in a packet of its own, or never.
    const cut = this.#random() < 0.1 ? integer(this.#random, 1, request.length) : request.length
    let received = 0
    let timer: ReturnType<typeof setTimeout> | undefined
    socket.on('error', () => {})
    socket.once('connect', () => {
      socket.write(request.slice(0, cut))
      if (cut < request.length && moment.ms > 1) socket.write(request.slice(cut))
      timer = setTimeout(() => this.#disconnect(socket), moment.ms)
    })
    if (!moment.isLagging)
      socket.on('data', (data) => {
        if (received === 0) this.#remember(data.toString('latin1'))
        received += data.length
        if (received >= moment.bytes) this.#disconnect(socket)
      })
    return new Promise((resolve) => {
      socket.once('close', () => {
        clearTimeout(timer)
        resolve()
      })
    })
  }

  #requestOf(moment: Moment): string {
    const id = this.#idFor(moment)
    const resume = id === undefined ? '' : `Last-Event-ID: ${id}\r\n`
    const [format, encoding] = [oneOf(this.#random, FORMATS), oneOf(this.#random, ENCODINGS)]
    return `GET ${moment.path} HTTP/1.1\r\nHost: a\r\n${resume}${format}${encoding}\r\n`
  }

  /** Closes a connection, resets it, or half-closes it. */
  #disconnect(socket: net.Socket): void {
    const end = this.#random()
    if (end < 0.4 || socket.readyState !== 'open' || !socket.readableFlowing) socket.destroy()
    else if (end < 0.8) socket.resetAndDestroy()
    // The server ends its half too.
    else socket.end()
  }

  /** Opens streams in one session of HTTP/2, and closes each one or the session. */
  async #session(size: number): Promise<void> {
    const session = http2.connect(`http://127.0.0.1:${this.#address.port}`)
    session.on('error', () => {})
    const closed = new Promise<void>((resolve) => session.once('close', () => resolve()))
    await Promise.all(Array.from({ length: size }, () => this.#stream(session)))
    session.destroy()
    await closed
  }

  #stream(session: http2.ClientHttp2Session): Promise<void> {
    const moment = this.#nextMoment()
    const id = this.#idFor(moment)
    const headers = { ':path': moment.path, ...(id === undefined ? {} : { 'last-event-id': id }) }
    const stream = session.request(headers)
    let received = 0
    const disconnect = () => {
      if (this.#random() < 0.1) session.destroy()
      else stream.close(oneOf(this.#random, [0, 8, 2]))
    }
    const timer = setTimeout(disconnect, moment.ms)
    stream.on('error', () => {})
    if (moment.isLagging) stream.pause()
    else
      stream.on('data', (data: Buffer) => {
        if (received === 0) this.#remember(data.toString('latin1'))
        received += data.length
        if (received >= moment.bytes) disconnect()
      })
    return new Promise((resolve) => {
      stream.once('close', () => {
        clearTimeout(timer)
        resolve()
      })
    })
  }
}
