import { expect } from 'vitest'
import { createSseStream } from '../../src/http/create-sse-stream.ts'
import type { Hub } from '../../src/hub/hub.ts'
import { startCuttingProxy } from './proxy.ts'
import { type ReadEvent, ReadingClient } from './reading-client.ts'
import { serve } from './serve.ts'

const SUBSCRIPTIONS = [['a'], ['b'], ['a', 'b']]

const channelsOf = (i: number) => SUBSCRIPTIONS[i % SUBSCRIPTIONS.length] as string[]

interface Published {
  readonly id: string
  readonly channel: string
  readonly n: number
}

/**
 * Clients whose connections to random servers are cut at random bytes, from the first byte of the first response on.
 */
export class CutClients {
  readonly clients: readonly ReadingClient[]
  readonly #log: Published[] = []
  readonly #indexes = new Map<string, number>()
  readonly #traffic: { isCutting: boolean }

  private constructor(clients: readonly ReadingClient[], traffic: { isCutting: boolean }) {
    this.clients = clients
    this.#traffic = traffic
    for (const client of clients) void client.stayConnected()
  }

  /** Connects clients to the servers of some hubs, a third of them to two channels. */
  static async connect(hubs: readonly Hub[], count: number): Promise<CutClients> {
    const ports: number[] = []
    for (const hub of hubs) ports.push(await serveHub(hub))
    const traffic = { isCutting: true }
    const proxy = await startCuttingProxy(
      () => ports[Math.floor(Math.random() * ports.length)] as number,
      () => (traffic.isCutting ? Math.floor(Math.random() * 3_000) : Number.POSITIVE_INFINITY),
    )
    const clients = Array.from(
      { length: count },
      (_, i) => new ReadingClient(proxy.port, `/${channelsOf(i).join('')}`),
    )
    return new CutClients(clients, traffic)
  }

  /** The number of connections that were cut. */
  get cut(): number {
    return this.clients.reduce((sum, { connections }) => sum + connections - 1, 0)
  }

  /** Publishes an event on each of two channels in turn. */
  async publish(hub: Hub, count: number): Promise<void> {
    const first = this.#log.length
    const published = Array.from({ length: count }, async (_, i) => {
      const n = first + i
      const channel = n % 2 ? 'b' : 'a'
      const id = await hub.channel(channel).publish({ data: n })
      this.#log[n] = { n, channel, id }
      this.#indexes.set(id, n)
    })
    await Promise.all(published)
  }

  /** Stops cutting. Resolves when each client has all events, or a position after them. */
  async finish(): Promise<void> {
    this.#traffic.isCutting = false
    await Promise.all(
      this.clients.map((client, i) => {
        const channels = channelsOf(i)
        const last = this.#log.findLast(({ channel }) => channels.includes(channel))?.n ?? 0
        return client.until(() => this.#indexOf(client.lastEventId) >= last)
      }),
    )
  }

  /** Expects that each client received the events after its first position once and in order, and no gap. */
  check(): void {
    for (const [i, { events, refusals }] of this.clients.entries()) {
      const channels = channelsOf(i)
      const [first] = events as [ReadEvent, ...ReadEvent[]]
      const start = this.#indexOf(first.id) + (first.event === 'position' ? 1 : 0)
      const owed = this.#log.slice(start).filter(({ channel }) => channels.includes(channel))
      const received = events.filter(({ event }) => event === 'message')
      expect(received.map(({ data }) => Number(data))).toEqual(owed.map(({ n }) => n))
      expect(events.filter(({ event }) => event === 'gap')).toEqual([])
      expect(refusals).toEqual([])
    }
  }

  /** Returns the index of an event in the log, or -1 for a position before the first one. */
  #indexOf(id: string): number {
    return this.#indexes.get(id) ?? -1
  }
}

async function serveHub(hub: Hub): Promise<number> {
  const { port } = await serve((request, response) => {
    hub.subscribe(
      createSseStream(request, response, { retry: 0 }),
      (request.url as string).slice(1).split(''),
    )
  })
  return port
}
