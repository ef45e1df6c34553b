import { describe, expect, it } from 'vitest'
import { createSseStream } from '../../src/http/create-sse-stream.ts'
import type { SseStreamOptions } from '../../src/http/options.ts'
import type { SseStream } from '../../src/stream/stream.ts'
import { type Client, type Get, get } from '../support/client.ts'
import { parseEvents } from '../support/parse.ts'
import { deferred, type Handler, type Protocol, serve } from '../support/serve.ts'
import { closed } from '../support/streams.ts'

/** A way out, as a server and a client that stand at its two ends. */
export interface Way {
  name: string
  protocol: Protocol
  /** What a middleware does to the response before the stream is made. */
  prepare?: Handler
  /** How the client asks, where it is not the usual way. */
  ask?: (port: number) => Promise<Client>
  /** Whether the end of the body can be told from a cut connection. */
  tellsEnd?: boolean
}

/** What every transport keeps, whatever lies between the stream and the client. */
export function transportContract({ name, protocol, prepare, ask, tellsEnd = true }: Way): void {
  async function open(options: SseStreamOptions = {}, request: Get = {}) {
    const made = deferred<SseStream>()
    const { port, server } = await serve((req, res) => {
      prepare?.(req, res)
      made.resolve(createSseStream(req, res, options))
    }, protocol)
    const client = await (ask ? ask(port) : get(protocol, port, request))
    return { stream: await made.promise, client, server }
  }

  describe(name, () => {
    it('sends the head and a first byte at once (rule 16)', async () => {
      const { client } = await open({ retry: 1000 })
      await client.until((body) => /(^|\n):\nretry: (1\d\d\d|2000)\n/.test(body))
    })

    // Node 26 holds the head in the response until the tick is over.
    it('sends the head first, also when the stream is sent to and closed in the tick that made it', async () => {
      const { port } = await serve((req, res) => {
        prepare?.(req, res)
        const stream = createSseStream(req, res, { retry: 0 })
        stream.send({ data: 'x'.repeat(300_000) })
        stream.send({ data: 'last' })
        stream.close()
      }, protocol)
      const client = await (ask ? ask(port) : get(protocol, port))
      expect(await client.ended).toBe('end')
      expect(
        parseEvents(client.body.slice(client.body.indexOf(':\n'))).map(({ data }) => data.length),
      ).toEqual([300_000, 4])
    })

    it('delivers events in order and whole', async () => {
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

    it('holds back for a client that does not read, and loses nothing when it reads on (rules 27, 30)', async () => {
      const { stream, client } = await open({ maxBufferedBytes: 64 * 1024 * 1024 })
      client.stopReading()
      const event = { data: 'x'.repeat(64 * 1024) }
      let count = 0
      // Far past what the kernel takes.
      while (count < 400) {
        stream.send(event)
        count += 1
        if (count % 10 === 0) await new Promise((resolve) => setImmediate(resolve))
      }
      expect(stream.send(event)).toBe(false)
      expect(stream.bufferedEvents).toBeGreaterThan(50)
      client.readOn()
      await expect(stream.drained()).resolves.toBe(true)
      expect(stream.send({ data: 'last' })).toBe(true)
      // Not `until`: it looks through all 26 MB again for each piece that comes.
      stream.close()
      await client.ended
      expect(parseEvents(client.body)).toHaveLength(count + 2)
    })

    it('sees a client that does not read leave, and every wait settles (rule 27)', async () => {
      const { stream, client } = await open({ maxBufferedBytes: 64 * 1024 * 1024 })
      client.stopReading()
      for (let i = 0; i < 400; i++) {
        stream.send({ data: 'x'.repeat(64 * 1024) })
        if (i % 10 === 0) await new Promise((resolve) => setImmediate(resolve))
      }
      const drained = stream.drained()
      const end = closed(stream)
      client.leave()
      await expect(drained).resolves.toBe(false)
      expect(await end).toEqual({ reason: 'client', error: undefined })
      expect(stream).toMatchObject({ bufferedBytes: 0, bufferedEvents: 0 })
    })

    it('sees the client leave', async () => {
      const { stream, client } = await open()
      await client.until(':\n')
      const end = closed(stream)
      const { signal } = stream
      client.leave()
      expect(await end).toEqual({ reason: 'client', error: undefined })
      expect(signal.aborted).toBe(true)
      expect(stream.send({ data: 1 })).toBe(false)
    })

    it('ends the body after what waits', async () => {
      const { stream, client } = await open()
      const end = closed(stream)
      stream.send({ data: 'last' })
      stream.close()
      expect(await client.ended).toBe('end')
      expect(client.body).toMatch(/data: last\n\n/)
      expect(await end).toEqual({ reason: 'server', error: undefined })
    })

    it('cuts the connection when it is destroyed, so that the client comes back', async () => {
      const { stream, client } = await open()
      await client.until(':\n')
      const end = closed(stream)
      stream.destroy()
      expect(await client.ended).toBe(tellsEnd ? 'cut' : 'end')
      expect(await end).toEqual({ reason: 'server', error: undefined })
    })

    it('beats while it is idle', async () => {
      const { client } = await open({ heartbeat: 300, retry: 0 })
      await client.until((body) => /(\n|^):\n:\n:\n/.test(body))
    })
  })
}
