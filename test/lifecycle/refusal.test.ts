import { afterEach, beforeEach, describe, expect, expectTypeOf, it, vi } from 'vitest'
import { Hub } from '../../src/hub/hub.ts'
import { type Refusal, refuseStream } from '../../src/stream/refusal.ts'
import type { SseStream } from '../../src/stream/stream.ts'
import { drainAll, eventsOf, publishNumbers } from '../support/hub.ts'
import { closed, fakeStream, nextTurn, settled } from '../support/streams.ts'

describe('Refusal', () => {
  it('has either a status or a retry', () => {
    expectTypeOf<{ status: number; retryAfter: number }>().toExtend<Refusal>()
    expectTypeOf<{ retry: number }>().toExtend<Refusal>()
    expectTypeOf<{ status: number; retry: number }>().not.toExtend<Refusal>()
    expectTypeOf<{ retry: number; retryAfter: number }>().not.toExtend<Refusal>()
  })
})

describe('refuseStream', () => {
  it('sends the reconnection time to a client whose own replay is being sent', async () => {
    const replay = async function* () {
      for (let i = 0; ; i++) yield { data: `${i}`.padEnd(60_000) }
    }
    const { stream, transport } = fakeStream({ replay }, '7')
    transport.isFull = true
    await settled()
    stream.send({ data: 'live' })
    const end = closed(stream)
    refuseStream(stream, { retry: 7_000 }, 'unauthorized')
    await drainAll(transport)
    transport.lose()
    expect((await end).reason).toBe('unauthorized')
    expect(transport.writes.at(-1)).toMatch(/retry: (7|8|9|1\d)\d{3,4}\n+$/)
    expect(transport.isEnded).toBe(true)
  })

  it('stops the replay of a stream that is closing, and keeps its first reason', async () => {
    const hub = new Hub()
    const start = await publishNumbers(hub, 100, { size: 60_000 })
    const { stream, transport } = fakeStream({}, start)
    transport.isFull = true
    hub.subscribe(stream, 'a')
    await settled()
    stream.close()
    const end = closed(stream)
    refuseStream(stream, { retry: 7_000 }, 'unauthorized')
    await drainAll(transport)
    transport.lose()
    expect((await end).reason).toBe('server')
    expect(eventsOf(transport).length).toBeLessThan(10)
    expect(transport.writes.join('')).toMatch(/retry: (7|8|9|1\d)\d{3,4}\n/)
  })
})

describe('a stream that is ending', () => {
  beforeEach(() => {
    vi.useFakeTimers()
  })
  afterEach(() => {
    vi.useRealTimers()
  })

  // Longer than a refused client may take to read the end.
  const GRACE = 1_500

  /** Opens a stream whose end waits for a client that does not read. */
  async function endingStream(hub?: Hub) {
    const opened = fakeStream({ context: { userId: 'ada' }, heartbeat: 0 })
    hub?.subscribe(opened.stream, 'a')
    opened.transport.isFull = true
    for (const data of ['written', 'queued']) opened.stream.send({ data })
    await nextTurn()
    opened.stream.send({ data: 'secret' })
    return opened
  }

  const isCut = async (transport: { isDestroyed: boolean }, ms: number) => {
    await vi.advanceTimersByTimeAsync(ms)
    return transport.isDestroyed
  }

  it.each<[how: string, end: (stream: SseStream) => void]>([
    ['close()', (stream) => stream.close()],
    ['its maximum duration', (stream) => stream._connection.expire()],
  ])('by %s is cut a second after a refusal', async (_, end) => {
    const { stream, transport } = await endingStream()
    end(stream)
    expect(await isCut(transport, 10_000)).toBe(false)
    refuseStream(stream, { retry: 2_000 }, 'unauthorized')
    refuseStream(stream, { retry: 2_000 }, 'unauthorized')
    expect(await isCut(transport, 900)).toBe(false)
    expect(await isCut(transport, GRACE)).toBe(true)
    expect(transport.writes.join('')).not.toContain('secret')
  })

  it('is cut after closeStreams, and keeps its reason', async () => {
    const hub = new Hub()
    const { stream, transport } = await endingStream(hub)
    stream.close()
    await hub.closeStreams({ userId: 'ada' })
    expect(await isCut(transport, GRACE)).toBe(true)
    expect(stream.closeReason).toBe('server')
  })

  it('is cut when the rights of its client expire', async () => {
    const { stream, transport } = await endingStream()
    stream.expiresAt = Date.now() + 12_000
    stream.close()
    expect(await isCut(transport, 12_000)).toBe(false)
    expect(await isCut(transport, GRACE)).toBe(true)
  })

  it('is cut when the rights expire that are set after its end', async () => {
    const { stream, transport } = await endingStream()
    stream.close()
    stream.expiresAt = Date.now() + 12_000
    expect(await isCut(transport, 12_000 + GRACE)).toBe(true)
  })

  it('is not cut by a subscription to a full hub', async () => {
    const { stream, transport } = await endingStream()
    stream.close()
    const hub = new Hub({ maxStreams: 1 })
    for (const each of [fakeStream().stream, stream]) hub.subscribe(each, 'a')
    expect(await isCut(transport, GRACE)).toBe(false)
  })
})
