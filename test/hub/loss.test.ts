import { describe, expect, it, vi } from 'vitest'
import { Hub } from '../../src/hub/hub.ts'
import type { Page, StoreListener } from '../../src/stores/event-store.ts'
import { MemoryStore } from '../../src/stores/memory/memory-store.ts'
import { eventsOf, GAP, subscribed } from '../support/hub.ts'
import { deferred } from '../support/serve.ts'
import { fakeStream, settled } from '../support/streams.ts'

/** A store that loses its connection when a test says so. */
class LossyStore extends MemoryStore {
  lose = () => {}
  /** The position after which entries are lost. */
  lostAfter: string | undefined

  override open(listener: StoreListener): void {
    super.open(listener)
    this.lose = () => listener.onLoss()
  }

  override read(channels: readonly string[], after: string, limit: number): Page {
    return after === this.lostAfter ? 'gap' : super.read(channels, after, limit)
  }
}

function lossyHub() {
  const store = new LossyStore()
  return { store, hub: new Hub({ store }) }
}

describe('a loss of the store', () => {
  it('is reported to live clients, after the events that were delivered before it', async () => {
    const { store, hub } = lossyHub()
    const { transport } = await subscribed(hub, ['a'])

    void hub.channel('a').publish({ data: 1 })
    store.lose()
    void hub.channel('a').publish({ data: 2 })
    await settled()

    expect(eventsOf(transport)).toEqual(['message 1', GAP, 'message 2'])
  })

  it('holds back the channels to which a filter subscribes before it is reported', async () => {
    const { store, hub } = lossyHub()
    const { stream, transport } = fakeStream()
    const snapshot = deferred<undefined>()
    hub.subscribe(stream, 'a', {
      onGap: () => snapshot.promise,
      filter: () => {
        hub.subscribe(stream, 'b')
        return true
      },
    })
    await settled()

    void hub.channel('a').publish({ data: 1 })
    store.lose()
    await settled()
    await hub.channel('b').publish({ data: 2 })
    await settled()
    snapshot.resolve(undefined)
    await settled()

    expect(eventsOf(transport)).toEqual(['message 1', GAP, 'message 2'])
  })

  it('is reported to a client that subscribes again before it was reported', async () => {
    const { store, hub } = lossyHub()
    const { transport, stream, unsubscribe } = await subscribed(hub, ['a'])

    store.lose()
    unsubscribe()
    hub.subscribe(stream, 'a')
    await settled()
    await hub.channel('a').publish({ data: 1 })
    await settled()

    expect(eventsOf(transport)).toEqual([GAP, 'message 1'])
  })

  it('is reported to a client that unsubscribes from an added channel during its snapshot', async () => {
    const { store, hub } = lossyHub()
    const { transport, stream } = await subscribed(hub, ['a'])
    const snapshot = deferred<undefined>()
    const unsubscribe = hub.subscribe(stream, 'b', { snapshot: () => snapshot.promise })
    await settled()

    store.lostAfter = store.position
    store.lose()
    unsubscribe()
    await hub.channel('another').publish({ data: 1 })
    snapshot.resolve(undefined)
    await settled()

    expect(eventsOf(transport)).toEqual([GAP])
  })

  it('is followed by the events that were published before the client subscribed again', async () => {
    const { store, hub } = lossyHub()
    const { stream, transport } = fakeStream()
    const unsubscribe = hub.subscribe(stream, 'a', { onGap: () => new Promise<undefined>(() => {}) })
    await settled()

    store.lose()
    await settled()
    await hub.channel('a').publish({ data: 1 })
    unsubscribe()
    hub.subscribe(stream, 'a')
    await settled()

    expect(eventsOf(transport)).toEqual([GAP, 'message 1'])
  })

  it('authorizes the subscribed streams again, and those that were opened before it and are subscribed later', async () => {
    const { store, hub } = lossyHub()
    const [first, late] = [fakeStream(), fakeStream()]
    const checks = [first, late].map(({ stream }) => {
      const recheck = vi.fn(async () => {})
      stream._reauthorization = { _recheck: recheck }
      return recheck
    })
    hub.subscribe(first.stream, 'a')
    await settled()

    store.lose()
    hub.subscribe(late.stream, 'a')
    await settled()

    expect(checks.map((check) => check.mock.calls.length)).toEqual([1, 1])
  })
})
