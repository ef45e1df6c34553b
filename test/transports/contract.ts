import { randomBytes } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { createSseStream } from '../../src/http/create-sse-stream.ts'
import type { SseStreamOptions } from '../../src/http/options.ts'
import type { SseStream } from '../../src/stream/stream.ts'
import { type Client, get } from '../support/client.ts'
import { parseEvents } from '../support/parse.ts'
import { deferred, type Handler, type Protocol, serve } from '../support/serve.ts'
import { closed } from '../support/streams.ts'

// Text that fills the buffers of a client that does not read, compressed or not.
function incompressible(size: number): string {
  return randomBytes(Math.ceil((size * 3) / 4))
    .toString('base64')
    .slice(0, size)
}

/** The connection that a transport is tested on. */
export interface ConnectionSetup {
  name: string
  protocol: Protocol
  /** Changes the response before the stream is created, as a middleware does. */
  prepare?: Handler
  /** Sends the request. By default, `get` does. */
  connect?: (port: number) => Promise<Client>
  /** Options of every stream. */
  options?: SseStreamOptions
  /** Headers of every request. */
  headers?: Record<string, string>
  /** Whether a client can distinguish the end of the body from a cut connection. True by default. */
  hasBodyEnd?: boolean
}

/** Declares the tests that every transport MUST pass. */
export function transportContract({
  name,
  protocol,
  prepare,
  connect = (port) => get(protocol, port, { headers }),
  options = {},
  headers = {},
  hasBodyEnd = true,
}: ConnectionSetup): void {
  async function open(more: SseStreamOptions = {}) {
    const opened = deferred<SseStream>()
    const { port, server } = await serve((req, res) => {
      prepare?.(req, res)
      opened.resolve(createSseStream(req, res, { ...options, ...more }))
    }, protocol)
    const client = await connect(port)
    return { stream: await opened.promise, client, server }
  }

  describe(name, () => {
    it('sends the response headers and a first byte immediately (rule 16)', async () => {
      const { client } = await open({ retry: 1000 })
      await client.until((body) => /(^|\n):\nretry: (1\d\d\d|2000)\n/.test(body))
    })

    // Node 26 delays the response headers until the end of the tick.
    it('sends the response headers first when events are sent and the stream is closed in the same tick', async () => {
      const { port } = await serve((req, res) => {
        prepare?.(req, res)
        const stream = createSseStream(req, res, { ...options, retry: 0 })
        stream.send({ data: 'x'.repeat(300_000) })
        stream.send({ data: 'last' })
        stream.close()
      }, protocol)
      const client = await connect(port)
      expect(await client.ended).toBe('end')
      expect(
        parseEvents(client.body.slice(client.body.indexOf(':\n'))).map(({ data }) => data.length),
      ).toEqual([300_000, 4])
    })

    it('delivers complete events in order', async () => {
      const { stream, client } = await open()
      for (let i = 0; i < 100; i++) stream.send({ id: i, event: 'tick', data: { i, text: 'é🦆\n' } })
      await client.until('id: 99\n')
      for (let i = 100; i < 105; i++) {
        stream.send({ id: i, event: 'tick', data: 'x'.repeat(100_000) })
        await stream.drained()
      }
      stream.close()
      await client.ended
      const events = parseEvents(client.body)
      expect(events.map((event) => Number(event.id))).toEqual(Array.from({ length: 105 }, (_, i) => i))
      expect(events.at(-1)?.data).toHaveLength(100_000)
      expect(events[0]).toMatchObject({ event: 'tick', data: '{"i":0,"text":"é🦆\\n"}' })
    })

    it('queues events for a client that does not read, and delivers all when it reads again (rules 27, 30)', async () => {
      const { stream, client } = await open({ maxBufferedBytes: 64 * 1024 * 1024 })
      client.stopReading()
      const event = { data: incompressible(64 * 1024) }
      let count = 0
      // Far more than the kernel buffers.
      while (count < 400) {
        stream.send(event)
        count += 1
        if (count % 10 === 0) await new Promise((resolve) => setImmediate(resolve))
      }
      expect(stream.send(event)).toBe(false)
      expect(stream.bufferedEvents).toBeGreaterThan(50)
      client.resumeReading()
      await expect(stream.drained()).resolves.toBe(true)
      expect(stream.send({ data: 'last' })).toBe(true)
      // `until` with a function would search all 26 MB again for each chunk.
      stream.close()
      await client.ended
      expect(parseEvents(client.body)).toHaveLength(count + 2)
    })

    it('counts the rest of a large event as buffered until it was written (rule 30)', async () => {
      const { stream, client } = await open({ maxBufferedBytes: 1_000 })
      await client.until(':\n')
      client.stopReading()
      // Far more than the kernel buffers.
      const size = 50_000_000
      stream.send({ data: incompressible(size) })
      await expect.poll(() => stream.bufferedEvents).toBe(0)
      expect(stream.bufferedBytes).toBeGreaterThan(size / 2)
      client.resumeReading()
      await expect(stream.drained()).resolves.toBe(true)
      expect(stream).toMatchObject({ bufferedBytes: 0, bufferedEvents: 0 })
    })

    it('resolves drained() with false when a client that does not read disconnects (rule 27)', async () => {
      const { stream, client } = await open({ maxBufferedBytes: 64 * 1024 * 1024 })
      client.stopReading()
      const data = incompressible(64 * 1024)
      for (let i = 0; i < 400; i++) {
        stream.send({ data })
        if (i % 10 === 0) await new Promise((resolve) => setImmediate(resolve))
      }
      const drained = stream.drained()
      const end = closed(stream)
      client.disconnect()
      await expect(drained).resolves.toBe(false)
      expect(await end).toEqual({ reason: 'client', error: undefined })
      expect(stream).toMatchObject({ bufferedBytes: 0, bufferedEvents: 0 })
    })

    it('closes the stream when the client disconnects', async () => {
      const { stream, client } = await open()
      await client.until(':\n')
      const end = closed(stream)
      const { signal } = stream
      client.disconnect()
      expect(await end).toEqual({ reason: 'client', error: undefined })
      expect(signal.aborted).toBe(true)
      expect(stream.send({ data: 1 })).toBe(false)
    })

    it('ends the body after the queued events', async () => {
      const { stream, client } = await open()
      const end = closed(stream)
      stream.send({ data: 'last' })
      stream.close()
      expect(await client.ended).toBe('end')
      expect(client.body).toMatch(/data: last\n\n/)
      expect(await end).toEqual({ reason: 'server', error: undefined })
    })

    it('cuts the connection when the stream is destroyed, so that the client reconnects', async () => {
      const { stream, client } = await open()
      await client.until(':\n')
      const end = closed(stream)
      stream.destroy()
      expect(await client.ended).toBe(hasBodyEnd ? 'cut' : 'end')
      expect(await end).toEqual({ reason: 'server', error: undefined })
    })

    it('sends heartbeats while the stream is idle', async () => {
      const { client } = await open({ heartbeat: 300, retry: 0 })
      await client.until((body) => /(\n|^):\n:\n:\n/.test(body))
    })
  })
}
