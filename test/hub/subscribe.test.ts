import { describe, expect, expectTypeOf, it, vi } from 'vitest'
import { Hub } from '../../src/hub/hub.ts'
import { MemoryStore } from '../../src/stores/memory/memory-store.ts'
import type { SseStream } from '../../src/stream/stream.ts'
import { deferred } from '../support/deferred.ts'
import { eventsOf, publishNumbers, subscribed } from '../support/hub.ts'
import { fakeStream, nextTurn, settled } from '../support/streams.ts'

describe('Hub.subscribe', () => {
  it('sends a new client the events published after it, including those of the same turn', async () => {
    const hub = new Hub()
    await hub.channel('a').publish({ data: 'before' })
    const { stream, transport } = fakeStream()

    hub.channel('a').subscribe(stream)
    void hub.channel('a').publish({ data: 'after' })
    await settled()

    expect(eventsOf(transport)).toEqual(['message after'])
  })

  it.each([['news'], [['news']]])('accepts the channels %j', async (channels) => {
    const hub = new Hub()
    const { stream, transport } = fakeStream()

    hub.subscribe(stream, channels)
    await settled()
    await hub.channel('news').publish({ data: 'first' })
    await settled()

    expect(eventsOf(transport)).toEqual(['message first'])
  })

  it('has the types of a name and of a list', () => {
    expectTypeOf<Hub['subscribe']>().toBeCallableWith({} as SseStream, 'news')
    expectTypeOf<Hub['subscribe']>().toBeCallableWith({} as SseStream, ['news', 'sport'])
    // @ts-expect-error: a name is a string.
    expectTypeOf<Hub['subscribe']>().toBeCallableWith({} as SseStream, 5)
  })

  it('sends an event once to a stream that is subscribed to its channel twice', async () => {
    const hub = new Hub()
    const { stream, transport } = await subscribed(hub, ['a', 'a'])

    hub.channel('a').subscribe(stream)
    await settled()
    hub.channel('a').subscribe(stream)
    await hub.channel('a').publish({ data: 1 })
    await settled()

    expect(eventsOf(transport)).toEqual(['message 1'])
  })

  it('keeps no stream that is closed before, during or after the call (rule 33)', async () => {
    const hub = new Hub()
    const before = fakeStream()
    const during = fakeStream()

    before.stream.destroy()
    hub.subscribe(before.stream, ['a'])
    expect(hub.size).toBe(0)
    hub.subscribe(during.stream, ['a'])
    during.transport.lose()
    const after = await subscribed(hub, ['a'])
    after.transport.lose()
    await settled()

    expect(hub.size).toBe(0)
    await hub.channel('a').publish({ data: 1 })
  })

  it('adds no listener to the stream each time that it is called', async () => {
    const hub = new Hub()
    const { stream } = fakeStream()
    const onWarning = vi.fn()
    process.on('warning', onWarning)

    for (let i = 0; i < 50; i++) {
      hub.subscribe(stream, ['a'])()
      await nextTurn()
    }
    await settled()
    process.off('warning', onWarning)

    expect(stream.listenerCount('close')).toBe(0)
    expect(onWarning).not.toHaveBeenCalled()
  })
})

describe('the function that Hub.subscribe returns', () => {
  it('ends the subscription to its channels only', async () => {
    const hub = new Hub()
    const { stream, transport, unsubscribe } = await subscribed(hub, ['a', 'b'])
    const unsubscribeC = hub.subscribe(stream, ['c'])
    await settled()

    unsubscribe()
    unsubscribe()
    for (const channel of ['a', 'b', 'c']) await hub.channel(channel).publish({ data: channel })
    await settled()

    expect(eventsOf(transport)).toEqual(['message c'])
    unsubscribeC()
    expect(hub.size).toBe(0)
    expect(stream.closed).toBe(false)
  })

  it('does nothing to a later subscription to the same channel', async () => {
    const hub = new Hub()
    const { stream, transport } = await subscribed(hub, ['b'])
    const unsubscribe = hub.subscribe(stream, ['a'])
    await settled()
    unsubscribe()
    hub.subscribe(stream, ['a'])
    await settled()

    unsubscribe()
    await hub.channel('a').publish({ data: 1 })
    await settled()

    expect(eventsOf(transport)).toEqual(['message 1'])
  })

  it('lets the stream subscribe again, without the events in between', async () => {
    const hub = new Hub()
    const { stream, transport, unsubscribe } = await subscribed(hub, ['a'])

    unsubscribe()
    await hub.channel('a').publish({ data: 'between' })
    hub.subscribe(stream, ['a'])
    await settled()
    await hub.channel('a').publish({ data: 'again' })
    await settled()

    expect(eventsOf(transport)).toEqual(['message again'])
  })

  it('stops the events of a page that is still unsent, with and without a filter', async () => {
    const hub = new Hub()
    const start = await publishNumbers(hub, 3, { channel: 'secret', size: 20_000 })
    await hub.channel('b').publish({ data: 'b' })
    const { stream, transport } = fakeStream({}, start)
    transport.isFull = true
    const filter = ({ data }: { data?: unknown }) => String(data).startsWith('0')
    const unsubscribe = hub.subscribe(stream, ['secret'], { filter })
    hub.subscribe(stream, ['b'])
    await settled()

    unsubscribe()
    for (let i = 0; i < 10; i++) {
      transport.drain()
      await settled()
    }

    expect(eventsOf(transport)).toEqual(['message 0', 'message b'])
  })
})

describe('a subscription to a store that connects', () => {
  /** A store without a position until it is ready. */
  class LateStore extends MemoryStore {
    readonly #connected = deferred<void>()
    ready: Promise<void> | undefined = this.#connected.promise

    override get position(): string {
      return this.ready ? '' : super.position
    }

    connect(): void {
      this.ready = undefined
      this.#connected.resolve()
    }
  }

  it.each([
    ['in the same turn', async () => {}],
    ['in a later turn', settled],
  ])('begins at the present when the stream unsubscribes and subscribes again %s', async (_when, wait) => {
    const store = new LateStore()
    const hub = new Hub({ store })
    const { stream, transport } = fakeStream()

    const unsubscribe = hub.subscribe(stream, 'a')
    await wait()
    unsubscribe()
    hub.subscribe(stream, 'b')
    store.connect()
    await settled()
    await hub.channel('b').publish({ data: 1 })
    await settled()

    expect(eventsOf(transport)).toEqual(['message 1'])
  })
})
