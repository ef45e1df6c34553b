import http from 'node:http'
import { createParser } from 'eventsource-parser'
import { describe, expect, it, onTestFinished } from 'vitest'
import { createSseStream } from '../../src/http/create-sse-stream.ts'
import { Hub } from '../../src/hub/hub.ts'
import { MemoryStore } from '../../src/stores/memory/memory-store.ts'
import { serve } from '../support/serve.ts'

const CHANNELS = ['a', 'b', 'c']

/** Reads a stream over sockets, cuts each after a random number of bytes, and reconnects with its last event id. */
class CuttingClient {
  readonly seen: Array<{ event: string; n: number; position: number }> = []
  cuts = 0
  isCutting = true
  readonly #port: number
  #lastEventId = ''
  #request: http.ClientRequest | undefined
  #onSeen = () => {}

  constructor(port: number) {
    this.#port = port
    onTestFinished(() => void this.#request?.destroy())
    this.#connect()
  }

  /** Resolves when the client has seen an event or the gap that covers it. */
  async until(n: number): Promise<void> {
    // Event `n` has the position `n + 1`.
    while (this.seen.at(-1)?.position !== n + 1) {
      await new Promise<void>((resolve) => {
        this.#onSeen = resolve
      })
    }
  }

  #connect(): void {
    const headers = this.#lastEventId === '' ? {} : { 'last-event-id': this.#lastEventId }
    this.#request = http.get({ port: this.#port, host: '127.0.0.1', headers, agent: false })
    this.#request.on('error', () => {})
    this.#request.on('close', () => this.#connect())
    this.#request.on('response', (response) => this.#read(response))
  }

  #read(response: http.IncomingMessage): void {
    const parser = createParser({
      onEvent: ({ event = 'message', data, id = this.#lastEventId }) => {
        this.#lastEventId = id
        if (event === 'position') return
        this.seen.push({ event, n: Number(data), position: Number(id.split('-')[1]) })
        this.#onSeen()
      },
    })
    let left = this.isCutting ? Math.floor(Math.random() * 3_000) : Number.POSITIVE_INFINITY
    response.on('error', () => {})
    response.on('data', (bytes: Buffer) => {
      const taken = bytes.subarray(0, left)
      left -= taken.length
      // Bytes after the cut never reached the client.
      if (!response.destroyed) parser.feed(taken.toString('latin1'))
      if (left > 0 || response.destroyed) return
      this.cuts += 1
      response.destroy()
    })
  }
}

async function run(maxEvents: number, count: number) {
  const hub = new Hub({ store: new MemoryStore({ maxEvents }) })
  const { port } = await serve((req, res) => {
    hub.subscribe(createSseStream(req, res, { retry: 0 }), CHANNELS)
  })
  const clients = Array.from({ length: count }, () => new CuttingClient(port))
  const cuts = () => clients.reduce((sum, client) => sum + client.cuts, 0)
  let n = 0
  while (cuts() < 1_000) {
    for (let i = 0; i < 3; i++) void hub.channel(CHANNELS[n % 3] as string).publish({ data: n++ })
    await new Promise((resolve) => setTimeout(resolve, 1))
  }
  for (const client of clients) client.isCutting = false
  await hub.channel('a').publish({ data: n })
  await Promise.all(clients.map((client) => client.until(n)))
  return { clients, cuts: cuts() }
}

describe('a thousand connections that are cut at random bytes', () => {
  it('deliver each event once while the store keeps all of them', async () => {
    const { clients, cuts } = await run(1_000_000, 20)
    expect(cuts).toBeGreaterThanOrEqual(1_000)
    for (const { seen } of clients) {
      const first = seen[0]?.n ?? 0
      expect(seen.map(({ event }) => event)).not.toContain('gap')
      expect(seen.map(({ n }) => n)).toEqual(Array.from({ length: seen.length }, (_, i) => first + i))
    }
  })

  it('deliver a gap event for evicted events, and each other event once', async () => {
    const { clients } = await run(12, 20)
    for (const { seen } of clients) {
      let next: number | undefined
      for (const { event, n, position } of seen) {
        // A gap event at position `p` covers the events below `p`.
        if (event === 'gap') next = position
        else {
          if (next !== undefined) expect(n).toBe(next)
          next = n + 1
        }
      }
    }
  })
})
