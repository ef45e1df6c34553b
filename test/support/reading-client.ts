import http from 'node:http'
import { createParser } from 'eventsource-parser'
import { onTestFinished } from 'vitest'

export interface ReadEvent {
  readonly event: string
  readonly data: string
  readonly id: string
}

/**
 * A client on a socket that behaves as the HTML standard requires. When its connection ends, also during the response
 * headers, it reconnects with the id of its last complete event.
 */
export class ReadingClient {
  readonly events: ReadEvent[] = []
  connections = 0
  /** Responses that are no event stream. A client of the standard stops at one. */
  readonly refusals: number[] = []
  lastEventId = ''
  readonly #port: number
  readonly #path: string
  #request: http.ClientRequest | undefined
  #isEnded = false
  #onChange = () => {}

  constructor(port: number, path = '/') {
    this.#port = port
    this.#path = path
    onTestFinished(() => this.end())
  }

  /** Connects once. Resolves at the end of the connection. */
  async connect(): Promise<void> {
    const headers = this.lastEventId === '' ? {} : { 'last-event-id': this.lastEventId }
    const [port, path] = [this.#port, this.#path]
    this.connections += 1
    const request = http.get({ port, path, host: '127.0.0.1', headers, agent: false })
    this.#request = request
    request.on('error', () => {})
    request.on('response', (response) => this.#read(response))
    await new Promise((resolve) => request.once('close', resolve))
    this.#onChange()
  }

  /** Reconnects until `end` is called. */
  async stayConnected(): Promise<void> {
    while (!this.#isEnded) await this.connect()
  }

  /** Resolves when a condition is true. It is checked at each event and at the end of each connection. */
  async until(isTrue: () => boolean): Promise<void> {
    while (!isTrue()) {
      await new Promise<void>((resolve) => {
        this.#onChange = resolve
      })
    }
  }

  end(): void {
    this.#isEnded = true
    this.#request?.destroy()
  }

  /** Ends the present connection. */
  disconnect(): void {
    this.#request?.destroy()
  }

  #read(response: http.IncomingMessage): void {
    if (response.statusCode !== 200) this.refusals.push(response.statusCode as number)
    const parser = createParser({
      onEvent: ({ event = 'message', data, id = this.lastEventId }) => {
        this.lastEventId = id
        this.events.push({ event, data, id })
        this.#onChange()
      },
    })
    response.on('error', () => {})
    response.setEncoding('utf8').on('data', (text: string) => parser.feed(text))
  }
}
