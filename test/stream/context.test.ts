import { AsyncLocalStorage } from 'node:async_hooks'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { Hub } from '../../src/hub/hub.ts'
import { clock } from '../../src/scheduler/clock.ts'
import type { StoreListener } from '../../src/stores/event-store.ts'
import { MemoryStore } from '../../src/stores/memory/memory-store.ts'
import type { SseStream } from '../../src/stream/stream.ts'
import { fakeStream, nextTurn, settled } from '../support/streams.ts'

// Every request runs in a context of its own, as with a logger or a tracer. `alice` acts, and `bob` has listeners.

const user = new AsyncLocalStorage<string>()

type Options = Parameters<typeof fakeStream>[0]

/** Opens the stream of a user, and records the context in which its listeners run. */
function open(name: string, options: Options = {}, lastEventId?: string | null) {
  const contexts: Array<string | undefined> = []
  const note = () => void contexts.push(user.getStore())
  const opened = user.run(name, () => {
    const fake = fakeStream(options, lastEventId)
    for (const event of ['close', 'drop', 'drain'] as const) fake.stream.on(event, note)
    return fake
  })
  return { ...opened, contexts, note }
}

const SMALL: Options = { maxBufferedEvents: 1, overflow: 'drop-oldest' }

/** Sends a number of events in a turn. */
const sendAll = (stream: SseStream, count: number) => {
  for (let i = 0; i < count; i++) stream.send({ data: i })
}

afterEach(() => {
  vi.useRealTimers()
})

describe('a listener of a stream', () => {
  it.each<[string, (stream: SseStream, hub: Hub) => unknown]>([
    ['destroys the stream', (stream) => stream.destroy()],
    ['shuts the hub down', (_stream, hub) => void hub.shutdown({ grace: 0 })],
    ['overflows its queue', (stream) => sendAll(stream, 3)],
    ['publishes what overflows its queue', (_stream, hub) => publish(hub, 3)],
  ])('does not run in the context of a request that %s', async (_what, act) => {
    const hub = new Hub()
    const bob = open('bob', { maxBufferedEvents: 1 })
    hub.subscribe(bob.stream, ['news'])
    bob.transport.isFull = true
    bob.stream.send({ data: 'first' })
    await nextTurn()
    user.run('alice', () => act(bob.stream, hub))
    await vi.waitFor(() => expect(bob.contexts).toEqual([undefined]))
  })

  it('does not run in the context of a request that makes its stream drop events', async () => {
    const bob = open('bob', SMALL)
    bob.transport.isFull = true
    user.run('alice', () => sendAll(bob.stream, 5))
    await settled()
    expect(bob.contexts).toEqual([undefined])
  })

  it('does not run in the context of a request in which its stream catches up', async () => {
    const bob = open('bob')
    bob.transport.isFull = true
    user.run('alice', () => bob.stream.send({ data: 1 }))
    await nextTurn()
    user.run('alice', () => bob.transport.drain())
    expect(bob.contexts).toEqual([undefined])
  })

  it('does not run in the context of the request that started the clock', async () => {
    vi.useFakeTimers()
    const alice = open('alice')
    const bob = open('bob', { stallTimeout: 1_000 })
    bob.transport.isFull = true
    bob.stream.send({ data: 1 })
    await nextTurn()
    vi.advanceTimersByTime(1_300)
    await settled()
    expect(bob.stream.closeReason).toBe('stalled')
    expect(bob.contexts).toEqual([undefined])
    alice.stream.destroy()
  })

  it('of its signal does not run in the context of a request that destroys the stream', () => {
    const bob = open('bob')
    bob.stream.signal.addEventListener('abort', bob.note)
    user.run('alice', () => bob.stream.destroy())
    expect(bob.contexts).toEqual([undefined])
  })
})

describe('a filter', () => {
  it.each<[string, (alice: SseStream, hub: Hub) => unknown]>([
    ['publishes', (_alice, hub) => publish(hub, 1)],
    ['publishes more than one turn delivers', (_alice, hub) => publish(hub, 1_500)],
    [
      'sends after a publish',
      (alice, hub) => {
        publish(hub, 1)
        alice.send({ data: 'mine' })
      },
    ],
    [
      'subscribes after a publish',
      (alice, hub) => {
        publish(hub, 1)
        hub.subscribe(alice, ['news'])
      },
    ],
    [
      'closes its stream after a publish',
      (alice, hub) => {
        publish(hub, 1)
        alice.close()
      },
    ],
  ])('does not run in the context of a request that %s', async (_what, act) => {
    const hub = new Hub()
    const [alice, bob] = [open('alice'), open('bob')]
    const contexts = new Set<string | undefined>()
    user.run('bob', () => {
      const filter = () => Boolean(contexts.add(user.getStore()))
      hub.subscribe(bob.stream, ['news'], { filter })
    })
    await settled()
    user.run('alice', () => act(alice.stream, hub))
    await settled()
    expect([...contexts]).toEqual([undefined])
  })

  it('runs in the context of its own request during a replay', async () => {
    const hub = new Hub()
    const id = await hub.channel('news').publish({ data: 0 })
    user.run('alice', () => publish(hub, 2))
    const bob = open('bob', {}, id)
    const contexts: unknown[] = []
    user.run('bob', () => {
      hub.subscribe(bob.stream, ['news'], { filter: () => Boolean(contexts.push(user.getStore())) })
    })
    await settled()
    expect(contexts).toEqual(['bob', 'bob'])
  })
})

/** A store that loses its connection when a test says so. */
class LossyStore extends MemoryStore {
  lose = () => {}

  override open(listener: StoreListener): void {
    super.open(listener)
    this.lose = () => listener.onLoss()
  }
}

describe('onGap and replay', () => {
  it('run in the context of their own request when the client resumes', async () => {
    const contexts: unknown[] = []
    const note = () => void contexts.push(user.getStore())
    user.run('alice', () => open('alice'))
    const hub = new Hub()
    const bob = open('bob', {}, 'unknown')
    user.run('bob', () => hub.subscribe(bob.stream, ['news'], { onGap: note }))
    const replay = () => {
      note()
      return 'gap' as const
    }
    open('bob', { onGap: note, replay }, '7')
    await settled()
    expect(contexts).toEqual(['bob', 'bob', 'bob'])
  })

  it('run in no context when a store that a request has created loses events', async () => {
    const store = user.run('alice', () => new LossyStore())
    const hub = user.run('alice', () => new Hub({ store }))
    const contexts: unknown[] = []
    const bob = open('bob')
    user.run('bob', () =>
      hub.subscribe(bob.stream, ['news'], { onGap: () => void contexts.push(user.getStore()) }),
    )
    await settled()
    user.run('alice', () => store.lose())
    await settled()
    expect(contexts).toEqual([undefined])
  })
})

describe('the shared clock', () => {
  it('keeps no context of the request that started it', async () => {
    const contexts: unknown[] = []
    await new Promise<void>((resolve) => {
      const target = {
        _onTimer() {
          contexts.push(user.getStore())
          resolve()
        },
      }
      user.run('alice', () => clock.schedule(target, clock.now))
    })
    expect(contexts).toEqual([undefined])
  })
})

function publish(hub: Hub, count: number): void {
  for (let i = 0; i < count; i++) void hub.channel('news').publish({ data: i })
}
