import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { Hub } from '../../src/hub/hub.ts'
import { MemoryStore } from '../../src/stores/memory/memory-store.ts'
import { block } from '../support/block.ts'
import { eventsOf, sseError, subscribed } from '../support/hub.ts'
import { fakeStream, settled } from '../support/streams.ts'

describe('Hub.shutdown', () => {
  it('sends the queued events and a reconnection time, and resolves when every stream has ended', async () => {
    const hub = new Hub()
    const clients = await Promise.all([subscribed(hub, ['a']), subscribed(hub, ['b'])])
    void hub.channel('a').publish({ data: 'last' })

    const shutdown = hub.shutdown({ retry: 1000 })
    for (const { transport } of clients) {
      expect(transport.writes.join('')).toMatch(/retry: (1\d{3}|2000)\n$/)
      expect(transport.isEnded).toBe(true)
      transport.lose()
    }
    await shutdown

    expect(eventsOf(clients[0].transport)).toEqual(['message last'])
    expect(hub.size).toBe(0)
  })

  it('rejects events that are published after it', async () => {
    const hub = new Hub()
    await hub.shutdown()

    await expect(hub.channel('a').publish({ data: 1 })).rejects.toThrow(sseError('ERR_SSE_SHUT_DOWN'))
  })

  it('sends all queued events of a stream whose queue is full', async () => {
    const hub = new Hub()
    const { stream, transport } = await subscribed(hub, ['a'], { maxBufferedEvents: 2 })
    transport.isFull = true
    for (let i = 0; i < 3; i++) {
      await hub.channel('a').publish({ data: i })
      await settled()
    }

    const shutdown = hub.shutdown()
    transport.drain()
    transport.lose()
    await shutdown

    expect(stream.closeReason).toBe('shutdown')
    expect(transport.writes.join('')).toMatch(/data: 2\n\nretry: \d+\n$/)
  })

  it('destroys a stream whose queued events are not sent within the grace', async () => {
    const hub = new Hub()
    const { stream, transport } = await subscribed(hub, ['a'])
    transport.isFull = true
    for (let i = 0; i < 3; i++) {
      await hub.channel('a').publish({ data: i })
      await settled()
    }

    await hub.shutdown({ grace: 20 })

    expect(transport).toMatchObject({ isEnded: false, isDestroyed: true })
    expect(stream.closeReason).toBe('shutdown')
  })

  it('does not destroy a stream whose client has read while the event loop was blocked (rule 44)', async () => {
    const hub = new Hub()
    const { stream, transport } = await subscribed(hub, ['a'])
    transport.isFull = true
    stream.send({ data: 1 })
    await settled()
    stream.send({ data: 'last' })

    const shutdown = hub.shutdown({ grace: 200 })
    block(300)
    // The socket is read after the timers.
    setTimeout(() => setImmediate(() => transport.drain()))
    await vi.waitFor(() => expect(transport.isEnded).toBe(true))
    transport.lose()
    await shutdown

    expect(transport.isDestroyed).toBe(false)
    expect(eventsOf(transport)).toEqual(['message 1', 'message last'])
  })

  it.each(['graceMs', 'gracePeriod'])('suggests `grace` for the option %s', async (name) => {
    await expect(new Hub().shutdown({ [name]: 1 })).rejects.toThrow('Did you mean grace?')
  })

  it('closes the store once when it is called twice', async () => {
    const store = new MemoryStore()
    const close = vi.spyOn(store, 'close')
    const hub = new Hub({ store })

    await Promise.all([hub.shutdown(), hub.shutdown()])

    expect(close).toHaveBeenCalledOnce()
  })

  it('keeps no timer after it has resolved', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    onTestFinished(() => void vi.useRealTimers())

    await new Hub().shutdown({ grace: 60_000 })

    expect(vi.getTimerCount()).toBe(0)
  })
})

describe('the `spread` of Hub.shutdown', () => {
  const options = { spread: 60_000, grace: 60_000 }

  it('ends when the last stream that is not closed yet is unsubscribed', async () => {
    const hub = new Hub()
    const first = fakeStream()
    hub.subscribe(first.stream, ['a'])
    const unsubscribe = hub.subscribe(fakeStream().stream, ['a'])
    const shutdown = hub.shutdown(options)
    first.transport.lose()
    await settled()
    unsubscribe()
    await expect(shutdown).resolves.toBeUndefined()
  })

  it('ends when the last client disconnects, and keeps no timer', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    onTestFinished(() => void vi.useRealTimers())
    const hub = new Hub()
    const clients = [1, 2, 3].map(() => fakeStream())
    for (const { stream } of clients) hub.subscribe(stream, ['a'])
    const shutdown = hub.shutdown(options)
    for (const { transport } of clients) transport.lose()
    await shutdown
    expect(vi.getTimerCount()).toBe(0)
  })
})

describe('the `retry` of Hub.shutdown', () => {
  it.each([
    ['is increased by a random part', 1000, expect.stringContaining('retry: 1500\n')],
    ['is not sent when it is 0', 0, ''],
  ])('%s', async (_name, retry, expected) => {
    const random = vi.spyOn(Math, 'random').mockReturnValue(0.5)
    onTestFinished(() => random.mockRestore())
    const hub = new Hub()
    const { stream, transport } = fakeStream()
    hub.subscribe(stream, ['a'])

    void hub.shutdown({ retry, grace: 0 })
    await settled()

    expect(transport.writes.join('')).toEqual(expected)
  })
})

describe('a stream that is subscribed after Hub.shutdown', () => {
  it('is closed with the same reconnection time', async () => {
    const hub = new Hub()
    await hub.shutdown({ retry: 30_000 })
    const { stream, transport } = fakeStream()

    hub.subscribe(stream, ['a'])

    expect(stream.closeReason).toBe('shutdown')
    const [, retry] = /^retry: (\d+)\n$/.exec(transport.writes.join('')) ?? []
    expect(Number(retry)).toBeGreaterThanOrEqual(30_000)
  })

  it('is destroyed after the grace when its client reads nothing', async () => {
    const hub = new Hub()
    const early = fakeStream()
    hub.subscribe(early.stream, ['a'])
    early.transport.isFull = true
    early.stream.send({ data: 1 })
    await settled()
    const shutdown = hub.shutdown({ grace: 30 })
    const late = fakeStream()
    late.transport.isFull = true

    hub.subscribe(late.stream, ['a'])
    await shutdown

    await vi.waitFor(() => expect(late.transport.isDestroyed).toBe(true))
    expect(late.stream.closed).toBe(true)
  })
})
