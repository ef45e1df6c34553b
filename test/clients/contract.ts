import type { IncomingMessage, ServerResponse } from 'node:http'
import { describe, expect, it, onTestFinished } from 'vitest'
import type { SseEvent } from '../../src/event/event.ts'
import { createSseStream } from '../../src/http/create-sse-stream.ts'
import { refuseSseStream } from '../../src/http/refuse.ts'
import { Hub } from '../../src/hub/hub.ts'
import type { SseStream } from '../../src/stream/stream.ts'
import { holdClock } from '../../src/testing/hold-clock.ts'
import { deferred, type Protocol, serve } from '../support/serve.ts'
import { closed, nextTurn } from '../support/streams.ts'

/** An event as a client passes it to its program. */
export interface Received {
  type: string
  data: string
  lastEventId: string
}

export interface Listener {
  onEvent(event: Received): void
  /** Called when the client will not reconnect. */
  onGivenUp(): void
}

/** A client of event streams that programs use. */
export interface ClientUnderTest {
  readonly name: string
  readonly protocol?: Protocol
  /** Connects and listens to events of these names. Resolves with a function that closes the connection. */
  connect(url: string, names: readonly string[], listener: Listener): Promise<() => unknown>
  /** Returns an event as this client misreads it, where it differs from the standard. */
  misreads?(event: Received): Received
  /** Whether the client does not report a status that ends it. */
  readonly ignoresStatus?: boolean
  /** Whether the client sends an id of any characters back, encoded as UTF-8 as the standard requires. */
  readonly sendsAnyId?: boolean
}

const NAMES = ['message', 'tick', 'gap', 'position']

const awkward: SseEvent[] = [
  { event: 'tick', id: 1, data: { text: 'é🦆' } },
  { id: 2, data: '' },
  { event: 'tick', id: 'três', data: 'line 1\nline 2\r\nline 3\rline 4' },
  { event: 'tick', id: 3, data: ' leading space' },
  { event: 'tick', id: 4, data: '\n' },
  { event: 'tick', id: 5, data: 'x'.repeat(100_000), retry: 20 },
]

const asReceived: Received[] = [
  { type: 'tick', data: '{"text":"é🦆"}', lastEventId: '1' },
  { type: 'message', data: '', lastEventId: '2' },
  { type: 'tick', data: 'line 1\nline 2\nline 3\nline 4', lastEventId: 'três' },
  { type: 'tick', data: ' leading space', lastEventId: '3' },
  { type: 'tick', data: '\n', lastEventId: '4' },
  { type: 'tick', data: 'x'.repeat(100_000), lastEventId: '5' },
]

/** The behaviour of every client that reconnects by itself. */
export function clientContract(client: ClientUnderTest): void {
  describe(client.name, () => {
    it('reads every event, and no comment as an event', async () => {
      const url = await serveStreams(client, (request, response) => {
        const stream = createSseStream(request, response)
        for (const event of awkward) {
          stream.send(event)
          stream.comment('between')
        }
      })
      const { receive } = await connect(client, url)
      expect(await receive(awkward.length)).toEqual(asReceived.map(client.misreads ?? ((event) => event)))
    })

    it('reads no heartbeat as an event', async () => {
      const clock = holdClock()
      onTestFinished(() => clock.release())
      const opened = deferred<{ stream: SseStream; written: () => number }>()
      const url = await serveStreams(client, (request, response) => {
        const { socket } = request
        opened.resolve({ stream: createSseStream(request, response), written: () => socket.bytesWritten })
      })
      const { receive, received } = await connect(client, url)
      const { stream, written } = await opened.promise
      await stream.drained()
      for (let beat = 0; beat < 3; beat++) {
        const before = written()
        clock.advance(15_000)
        // HTTP/2 writes in a later turn.
        while (written() === before) await nextTurn()
      }
      stream.comment('')
      stream.send({ data: 'after' })
      await receive(1)
      expect(received).toEqual([{ type: 'message', data: 'after', lastEventId: '' }])
    })

    it('gets each event once and in order when connections are closed and cut', async () => {
      const total = 60
      let connections = 0
      const url = await serveStreams(client, (request, response) => {
        connections += 1
        const stream = createSseStream(request, response, { retry: 1, replay: (id) => from(Number(id) + 1) })
        if (stream.lastEventId === undefined) void stream.sendAll(from(0))
        cutSomewhere(stream)
      })
      function* from(first: number): Generator<SseEvent> {
        for (let id = first; id < total; id++) yield { event: 'tick', id, data: `event ${id}` }
      }
      // Ends each connection elsewhere, with and without its queued events.
      function cutSomewhere(stream: SseStream) {
        if (connections > 8) return
        if (connections % 2 === 0) stream.close()
        else setImmediate(() => stream.destroy())
      }
      const { receive } = await connect(client, url)
      const data = (await receive(total)).map((event) => event.data)
      expect(data).toEqual(Array.from({ length: total }, (_, id) => `event ${id}`))
    })

    it('gets the events of a hub that it missed while it was disconnected', async () => {
      const hub = new Hub()
      const opened: Array<(stream: SseStream) => void> = []
      const next = () => new Promise<SseStream>((resolve) => opened.push(resolve))
      const url = await serveStreams(client, (request, response) => {
        const stream = createSseStream(request, response, { retry: 1 })
        hub.subscribe(stream, ['ticks'])
        opened.shift()?.(stream)
      })
      const [first, second] = [next(), next()]
      const { receive } = await connect(client, url)
      const publish = (data: string) => hub.channel('ticks').publish({ event: 'tick', data })
      const one = await first
      await publish('live')
      await one.drained()
      await receive(1)
      one.destroy()
      await publish('missed')
      await second
      await publish('live again')
      expect((await receive(3)).map(({ data }) => data)).toEqual(['live', 'missed', 'live again'])
    })

    it.runIf(client.sendsAnyId)('resumes from an id of any characters', async () => {
      const url = await serveStreams(client, (request, response) => {
        const stream = createSseStream(request, response, { retry: 1 })
        stream.send({ id: 'três 🦆', data: String(stream.lastEventId) })
        if (stream.lastEventId === undefined) stream.close()
      })
      const { receive } = await connect(client, url)
      expect((await receive(2)).map(({ data }) => data)).toEqual(['undefined', 'três 🦆'])
    })

    it('gets a gap event before any other when it resumes', async () => {
      const url = await serveStreams(client, (request, response) => {
        const stream = createSseStream(request, response, { retry: 1, replay: () => 'gap' })
        stream.send({ event: 'tick', id: stream.lastEventId === undefined ? 'old' : 'new', data: '' })
        if (stream.lastEventId === undefined) stream.close()
      })
      const { receive } = await connect(client, url)
      const [, gap, tick] = await receive(3)
      expect([gap?.type, gap?.data]).toEqual(['gap', '{"reason":"unknown"}'])
      expect([tick?.type, tick?.lastEventId]).toEqual(['tick', 'new'])
    })

    // Clients use one to three seconds without a `retry`.
    it('reconnects after the time of a `retry`', async () => {
      const told = 1_300
      const pauses: number[] = []
      let last = Number.NaN
      const onTime = deferred<void>()
      const url = await serveStreams(client, (request, response) => {
        const stream = createSseStream(request, response, { retry: 0 })
        const now = performance.now()
        if (!Number.isNaN(last)) pauses.push(now - last)
        last = now
        stream.send({ id: 1, data: 'first', retry: told })
        // A busy machine may delay one of them.
        if (Number(pauses.at(-1)) < 2_900) onTime.resolve()
        else stream.close()
      })
      await connect(client, url)
      await onTime.promise
      expect(Math.min(...pauses)).toBeGreaterThan(told - 20)
    })

    it('reconnects when it was refused with a `retry`', async () => {
      let requests = 0
      const url = await serveStreams(client, (request, response) => {
        requests += 1
        if (requests < 3) refuseSseStream(response, { retry: 1 })
        else createSseStream(request, response).send({ data: 'welcome' })
      })
      const { receive } = await connect(client, url)
      expect(await receive(1)).toEqual([{ type: 'message', data: 'welcome', lastEventId: '' }])
      expect(requests).toBe(3)
    })

    it.skipIf(client.ignoresStatus).each([204, 403])(
      'does not reconnect after the status %i',
      async (status) => {
        let requests = 0
        const url = await serveStreams(client, (request, response) => {
          requests += 1
          if (requests > 1) return refuseSseStream(response, { status })
          const stream = createSseStream(request, response, { retry: 1 })
          stream.send({ data: 'first' })
          stream.close()
        })
        const { givenUp, received } = await connect(client, url)
        await givenUp
        expect({ requests, data: received.map(({ data }) => data) }).toEqual({ requests: 2, data: ['first'] })
      },
    )

    it('ends its stream when it is closed', async () => {
      const opened = deferred<SseStream>()
      const url = await serveStreams(client, (request, response) =>
        opened.resolve(createSseStream(request, response)),
      )
      const { close } = await connect(client, url)
      const end = closed(await opened.promise)
      await close()
      expect(await end).toMatchObject({ reason: 'client' })
    })
  })
}

/** Serves event streams, and an empty page because a browser reads from its own origin. */
export async function serveStreams(
  { protocol = 'http' }: ClientUnderTest,
  onRequest: (request: IncomingMessage, response: ServerResponse) => void,
): Promise<string> {
  const { port } = await serve((request, response) => {
    if (request.url === '/events') return onRequest(request, response)
    response.writeHead(request.url === '/' ? 200 : 404, { 'Content-Type': 'text/html' })
    response.end()
  }, protocol)
  return `${protocol === 'h2' ? 'https' : 'http'}://127.0.0.1:${port}/events`
}

/** Connects a client. Its received events include positions if `isAll`, each once. */
export async function connect(client: ClientUnderTest, url: string, isAll = false) {
  const received: Received[] = []
  const givenUp = deferred<void>()
  let look = () => {}
  const onEvent = (event: Received) => {
    // A client that resumes at a process without newer events is sent the same position again.
    const isKnown = event.lastEventId === received.at(-1)?.lastEventId
    if (event.type === 'position' && (!isAll || isKnown)) return
    received.push(event)
    look()
  }
  const close = await client.connect(url, NAMES, { onEvent, onGivenUp: () => givenUp.resolve() })
  onTestFinished(async () => void (await close()))
  /** Resolves with the received events when there are `count` of them. */
  const receive = (count: number) =>
    new Promise<Received[]>((resolve) => {
      look = () => received.length >= count && resolve([...received])
      look()
    })
  return { received, receive, close, givenUp: givenUp.promise }
}
