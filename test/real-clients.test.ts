import { EventSource as EventSourcePackage } from 'eventsource'
import { type EventSourceInit, EventSource as UndiciEventSource } from 'undici'
import { describe, expect, it } from 'vitest'
import { createSseStream } from '../src/create-sse-stream.ts'
import type { SseEvent } from '../src/event.ts'
import type { SseStream } from '../src/stream.ts'
import { serve } from './support/serve.ts'

interface Received {
  type: string
  data: string
  lastEventId: string
}

interface Client {
  addEventListener(name: string, listener: (event: Received) => void): void
  close(): void
}

const awkward: SseEvent[] = [
  { event: 'tick', id: 1, data: { text: 'é🦆' } },
  { id: 2, data: '' },
  { event: 'tick', id: 'três', data: 'line 1\nline 2\r\nline 3\rline 4' },
  { event: 'tick', id: 3, data: ' leading space' },
  { event: 'tick', id: 4, data: '\n' },
  { event: 'tick', id: 5, data: 'x'.repeat(100_000), retry: 20 },
]

const expected: Received[] = [
  { type: 'tick', data: '{"text":"é🦆"}', lastEventId: '1' },
  { type: 'message', data: '', lastEventId: '2' },
  { type: 'tick', data: 'line 1\nline 2\nline 3\nline 4', lastEventId: 'três' },
  { type: 'tick', data: ' leading space', lastEventId: '3' },
  { type: 'tick', data: '\n', lastEventId: '4' },
  { type: 'tick', data: 'x'.repeat(100_000), lastEventId: '5' },
]

/** What a client receives until it has `count` events. */
function receive(client: Client, count: number): Promise<Received[]> {
  const received: Received[] = []
  return new Promise((resolve) => {
    const take = ({ type, data, lastEventId }: Received) => {
      received.push({ type, data, lastEventId })
      if (received.length === count) resolve(received)
    }
    client.addEventListener('message', take)
    client.addEventListener('tick', take)
  })
}

// Each has its own type of listener.
const clients: Array<[string, (url: string) => unknown]> = [
  ['the eventsource package', (url) => new EventSourcePackage(url)],
  // It obeys `retry` only when an event follows on the same connection.
  ['undici', (url) => new UndiciEventSource(url, { node: { reconnectionTime: 1 } } as EventSourceInit)],
]

describe.each(clients)('%s', (_name, connect) => {
  it('reads what was sent', async () => {
    const { url } = await serve((req, res) => {
      const stream = createSseStream(req, res)
      for (const event of awkward) {
        stream.send(event)
        stream.comment('between')
      }
    })
    const client = connect(url) as Client
    expect(await receive(client, awkward.length)).toEqual(expected)
    client.close()
  })

  it('resumes by itself: each event once and in order, whatever cuts the connection', async () => {
    const total = 60
    let connections = 0
    const { url } = await serve((req, res) => {
      connections += 1
      const stream = createSseStream(req, res, { retry: 1, replay: (id) => from(Number(id) + 1) })
      if (stream.lastEventId === undefined) void stream.sendAll(from(0))
      cutSomewhere(stream)
    })
    function* from(first: number): Generator<SseEvent> {
      for (let id = first; id < total; id++) yield { event: 'tick', id, data: `event ${id}` }
    }
    // A new place each time, sometimes with what waits and sometimes without.
    function cutSomewhere(stream: SseStream) {
      if (connections > 8) return
      if (connections % 2 === 0) stream.close()
      else setImmediate(() => stream.destroy())
    }
    const client = connect(url) as Client
    const received = await receive(client, total)
    client.close()
    expect(received.map((event) => event.data)).toEqual(
      Array.from({ length: total }, (_, id) => `event ${id}`),
    )
  })
})
