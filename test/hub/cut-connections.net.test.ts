import { describe, expect, it } from 'vitest'
import { createSseStream } from '../../src/http/create-sse-stream.ts'
import { Hub } from '../../src/hub/hub.ts'
import { MemoryStore } from '../../src/stores/memory/memory-store.ts'
import { CutClients } from '../support/cut-clients.ts'
import { startCuttingProxy } from '../support/proxy.ts'
import { ReadingClient } from '../support/reading-client.ts'
import { serve } from '../support/serve.ts'
import { nextTurn } from '../support/streams.ts'

describe('connections that are cut at random bytes from the first one on', () => {
  it('deliver each event after the first position once while the store keeps all of them', async () => {
    const hub = new Hub({ store: new MemoryStore({ maxEvents: 1_000_000 }) })
    const clients = await CutClients.connect([hub], 60)
    for (let published = 0; published < 3_000 || clients.cut < 1_000; published += 3) {
      await clients.publish(hub, 3)
      await nextTurn()
    }
    await clients.finish()
    clients.check()
  })

  it('deliver a gap event for evicted events, and each other event once', async () => {
    const hub = new Hub({ store: new MemoryStore({ maxEvents: 12 }) })
    const server = await serve((request, response) => {
      hub.subscribe(createSseStream(request, response, { retry: 0 }), ['a', 'b', 'c'])
    })
    let isCutting = true
    const { port } = await startCuttingProxy(
      () => server.port,
      () => (isCutting ? Math.floor(Math.random() * 3_000) : Number.POSITIVE_INFINITY),
    )
    const clients = Array.from({ length: 20 }, () => new ReadingClient(port))
    for (const client of clients) void client.stayConnected()
    const cuts = () => clients.reduce((sum, { connections }) => sum + connections - 1, 0)
    let n = 0
    while (cuts() < 400) {
      for (let i = 0; i < 3; i++) void hub.channel('abc'.charAt(n % 3)).publish({ data: n++ })
      await nextTurn()
    }
    isCutting = false
    const last = await hub.channel('a').publish({ data: n })
    await Promise.all(clients.map((client) => client.until(() => client.lastEventId === last)))

    for (const { events } of clients) {
      let next: number | undefined
      for (const { event, data, id } of events) {
        // Event `n` has the position `n + 1`. A gap at position `p` covers the events below `p`.
        const position = Number(id.split('-')[1])
        if (event === 'message') expect(Number(data)).toBe(next ?? Number(data))
        if (event === 'position') expect(position).toBe(next ?? position)
        next = position
      }
    }
  })
})
