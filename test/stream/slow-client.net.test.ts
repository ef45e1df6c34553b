import type { Server } from 'node:http'
import { setTimeout as pause } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { createSseStream } from '../../src/http/create-sse-stream.ts'
import type { SseStreamOptions } from '../../src/http/options.ts'
import type { SseStream } from '../../src/stream/stream.ts'
import { type Client, get } from '../support/client.ts'
import { parseEvents } from '../support/parse.ts'
import { serve } from '../support/serve.ts'
import { closed, nextTurn } from '../support/streams.ts'

const EVENT = 64 * 1024
// More than the kernel buffers, which is several megabytes (rule 30).
const EVENTS = 400

async function openMany(count: number, options: SseStreamOptions) {
  const streams: SseStream[] = []
  const { server, port } = await serve((req, res) => streams.push(createSseStream(req, res, options)))
  const clients = await Promise.all(Array.from({ length: count }, () => get('http', port)))
  return { server: server as Server, streams, clients }
}

describe('a client that does not read', () => {
  // better-sse, sse-channel, hono, h3, express-sse: a paused client queued 52 MB and more; opencode #31923: 24.5 GB.
  it.each(['drop-oldest', 'drop-newest', 'conflate'] as const)(
    'uses at most maxBufferedBytes with overflow %s',
    async (overflow) => {
      const maxBufferedBytes = 512 * 1024
      const { streams, clients } = await openMany(1, { overflow, maxBufferedBytes })
      const [stream] = streams as [SseStream]
      clients[0]?.stopReading()
      for (let i = 0; i < EVENTS; i++) {
        stream.send({ data: `${i}`.padEnd(EVENT, 'x') })
        expect(stream.bufferedBytes).toBeLessThanOrEqual(maxBufferedBytes)
        if (i % 10 === 0) await nextTurn()
      }
      clients[0]?.resumeReading()
      await stream.drained()
      stream.close()
      await clients[0]?.ended
      const received = parseEvents(clients[0]?.body ?? '').map((event) => Number.parseInt(event.data, 10))
      expect(received).toEqual([...received].sort((a, b) => a - b))
      if (overflow !== 'drop-newest') expect(received.at(-1)).toBe(EVENTS - 1)
      expect(received.length).toBeLessThan(EVENTS)
    },
  )

  // go-sse, r3labs/sse: one blocked client blocked all others.
  it('is disconnected at maxBufferedBytes, and the other clients receive all events', async () => {
    const { streams, clients } = await openMany(4, { maxBufferedBytes: 512 * 1024 })
    clients[0]?.stopReading()
    const end = closed(streams[0] as SseStream)
    for (let i = 0; i < EVENTS; i++) {
      for (const stream of streams) stream.send({ id: i, data: 'x'.repeat(EVENT) })
      await Promise.all(streams.slice(1).map((stream) => stream.drained()))
    }
    expect(await end).toMatchObject({ reason: 'overflow' })
    for (const [i, client] of clients.entries()) {
      if (i === 0) continue
      expect(streams[i]?.closed).toBe(false)
      await client.until((body) => body.endsWith('\n\n') && body.includes(`id: ${EVENTS - 1}\n`))
      expect(parseEvents(client.body).map((event) => Number(event.id))).toEqual([...Array(EVENTS).keys()])
    }
  })

  it('is disconnected when nothing could be written for stallTimeout', async () => {
    const { streams, clients } = await openMany(1, { stallTimeout: 300, maxBufferedBytes: 100 * 1024 * 1024 })
    const [stream] = streams as [SseStream]
    clients[0]?.stopReading()
    const end = closed(stream)
    for (let i = 0; i < EVENTS; i++) {
      stream.send({ data: 'x'.repeat(EVENT) })
      if (i % 10 === 0) await nextTurn()
    }
    expect(await end).toMatchObject({ reason: 'stalled' })
  })

  it('is not disconnected while it reads one large event slowly', async () => {
    const { streams, clients } = await openMany(1, { stallTimeout: 1_000 })
    const [[stream], [client]] = [streams as [SseStream], clients as [Client]]
    const [bursts, size] = [26, 1_000_000]
    stream.send({ data: 'x'.repeat(bursts * size) })
    stream.close()
    let isEnded = false
    void client.ended.then(() => {
      isEnded = true
    })
    // The kernel buffers the last 10 MB, so the pauses add up to more than twice the stall timeout.
    for (let burst = 1; burst <= bursts && !isEnded; burst++) {
      client.resumeReading()
      while (client.length < burst * size && !isEnded) await nextTurn()
      client.stopReading()
      await pause(100)
    }
    client.resumeReading()
    expect(await client.ended).toBe('end')
    expect(client.body).toMatch(/x\n\n$/)
  })

  // better-sse, @fastify/sse, NestJS, sse-starlette: `server.close()` hung on open streams.
  it('does not prevent a server from closing', async () => {
    const { server, streams, clients } = await openMany(3, {
      stallTimeout: 300,
      maxBufferedBytes: 100 * 1024 * 1024,
    })
    clients[0]?.stopReading()
    for (let i = 0; i < EVENTS; i++) {
      streams[0]?.send({ data: 'x'.repeat(EVENT) })
      if (i % 10 === 0) await nextTurn()
    }
    const isClosed = new Promise((resolve) => server.close(resolve))
    for (const stream of streams) stream.close()
    await isClosed
  })
})
