import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { createSseResponse } from '../../src/http/create-sse-response.ts'
import { resolveOptions } from '../../src/http/options.ts'
import { Hub } from '../../src/hub/hub.ts'
import { StreamSet } from '../../src/lifecycle/stream-set.ts'
import { MemoryStore } from '../../src/stores/memory/memory-store.ts'
import { SseStream } from '../../src/stream/stream.ts'
import { deferred } from '../support/deferred.ts'
import { FakeTransport } from '../support/fake-transport.ts'
import { countHeld } from '../support/garbage.ts'
import { eventsOf, subscribed } from '../support/hub.ts'
import { fakeStream, nextTurn, settled } from '../support/streams.ts'
import { nextUncaught } from '../support/uncaught.ts'

// The library finishes a stream by direct calls, so that the application's listeners cannot prevent it.

type Opened = Awaited<ReturnType<typeof subscribed>>

const ENDS: Array<[how: string, end: (opened: Opened) => void]> = [
  ['the client disconnects', ({ transport }) => transport.lose()],
  ['the connection fails', ({ transport }) => transport.lose(new Error('reset'))],
  ['the program destroys the stream', ({ stream }) => stream.destroy()],
]

describe.each(ENDS)('a hub, when %s,', (_how, end) => {
  it('has no stream left although a close listener throws', async () => {
    const hub = new Hub()
    const opened = await subscribed(hub, ['a'])
    const uncaught = nextUncaught()
    opened.stream.prependListener('close', () => {
      throw new Error('listener')
    })
    end(opened)
    await expect(uncaught).resolves.toMatchObject({ message: 'listener' })
    expect(hub.size).toBe(0)
    await hub.shutdown({ grace: 60_000 })
  })

  it('has no stream left although the application removed all listeners', async () => {
    const hub = new Hub()
    const opened = await subscribed(hub, ['a'])
    opened.stream.removeAllListeners()
    end(opened)
    await settled()
    expect(hub.size).toBe(0)
    await hub.shutdown({ grace: 60_000 })
  })

  it('resolves shutdown() although it is called by a close listener', async () => {
    const hub = new Hub()
    const [opened, other] = [await subscribed(hub, ['a']), await subscribed(hub, ['a'])]
    const down = new Promise<void>((resolve) => {
      opened.stream.on('close', () => resolve(hub.shutdown({ grace: 60_000 })))
    })
    end(opened)
    await settled()
    expect(other.transport.isEnded).toBe(true)
    other.transport.lose()
    await down
    expect(hub.size).toBe(0)
  })
})

it('holds no snapshot of a subscription that was removed while the client reads nothing', async () => {
  const hub = new Hub()
  const { stream, transport } = await subscribed(hub, ['a'])
  transport.isFull = true
  stream.send({ data: 'x' })
  await settled()
  let calls = 0
  const toggle = () => {
    const snapshot = () => {
      calls += 1
      return [{ data: 'snapshot' }]
    }
    hub.subscribe(stream, 'b', { snapshot })()
    return new WeakRef(snapshot)
  }
  // It waits for room, and the others wait for it.
  hub.subscribe(stream, 'c', { snapshot: () => [{ data: 'first' }] })
  await settled()
  const snapshots = Array.from({ length: 20 }, toggle)
  await settled()
  expect(await countHeld(snapshots)).toBeLessThanOrEqual(1)
  transport.drain()
  await settled()
  await hub.channel('a').publish({ data: 1 })
  await settled()
  expect(calls).toBe(0)
  expect(eventsOf(transport)).toEqual(['message x', 'message first', 'message 1'])
})

it('holds no stream that is closed before the store is ready', async () => {
  const { promise: ready, resolve } = deferred<void>()
  const hub = new Hub({ store: Object.assign(new MemoryStore(), { ready }) })
  const streams = Array.from({ length: 20 }, () => {
    const stream = SseStream._open(new FakeTransport(), resolveOptions({}), { id: 'x' })
    hub.subscribe(stream, 'a')
    stream.destroy()
    return new WeakRef(stream)
  })
  expect(await countHeld(streams)).toBeLessThan(2)
  resolve()
})

describe('Hub.shutdown', () => {
  /** Makes a stream emit an event while its transport is full. */
  async function emit(event: 'drop' | 'drain', { stream, transport }: Opened): Promise<void> {
    transport.isFull = true
    for (let i = 0; i < 4; i++) {
      stream.send({ data: i })
      await nextTurn()
    }
    if (event === 'drain') transport.drain()
    await settled()
  }

  it.each(['drop', 'drain'] as const)('resolves when it is called by a %s listener', async (event) => {
    const hub = new Hub()
    const options = { maxBufferedEvents: 1, overflow: 'drop-oldest' } as const
    const [opened, other] = [await subscribed(hub, ['a'], options), await subscribed(hub, ['a'])]
    let down: Promise<void> | undefined
    opened.stream.on(event, () => {
      down ??= hub.shutdown({ grace: 60_000 })
    })
    await emit(event, opened)
    expect(opened.stream.closeReason).toBe('shutdown')
    opened.transport.drain()
    for (const { transport } of [opened, other]) {
      expect(transport.isEnded).toBe(true)
      transport.lose()
    }
    await down
    expect(hub.size).toBe(0)
  })

  it('resolves when it is called by a listener of the stream signal', async () => {
    const hub = new Hub()
    const { stream } = await subscribed(hub, ['a'])
    let down: Promise<void> | undefined
    stream.signal.addEventListener('abort', () => {
      down = hub.shutdown({ grace: 60_000 })
    })
    stream.destroy()
    await down
    expect(down).toBeDefined()
    expect(hub.size).toBe(0)
  })

  it('resolves although a close listener throws and another one removes all listeners', async () => {
    const hub = new Hub()
    const { stream, transport } = await subscribed(hub, ['a'])
    const uncaught = nextUncaught()
    stream.on('close', () => {
      stream.removeAllListeners()
      throw new Error('listener')
    })
    const down = hub.shutdown({ grace: 60_000 })
    transport.lose()
    await down
    await uncaught
    expect(hub.size).toBe(0)
  })
})

describe('a set of streams that is shut down', () => {
  const settings = { grace: 60_000, retry: 0, spread: 0 }

  it('waits for a stream that is refused while it waits for refused ones', async () => {
    const streams = new StreamSet()
    const [first, second, third] = [fakeStream(), fakeStream(), fakeStream()]
    streams.add(first.stream, undefined)
    const onDown = vi.fn()
    const down = streams.shutdown(settings).then(onDown)
    streams.refuse(second.stream)
    first.transport.lose()
    await settled()
    streams.refuse(third.stream)
    second.transport.lose()
    await settled()
    expect(onDown).not.toHaveBeenCalled()
    third.transport.lose()
    await down
  })
})

describe('a stream on many hubs', () => {
  it('causes no listener warning, and is removed from each of them when it closes', async () => {
    const warnings: unknown[] = []
    const onWarning = (warning: unknown) => warnings.push(warning)
    process.on('warning', onWarning)
    onTestFinished(() => void process.off('warning', onWarning))
    const hubs = Array.from({ length: 11 }, () => new Hub())
    const { stream, transport } = fakeStream()
    for (const hub of hubs) hub.subscribe(stream, ['a'])
    for (const hub of hubs) hub.subscribe(stream, ['b'])
    expect(stream.eventNames()).toEqual([])
    transport.lose()
    await settled()
    expect(hubs.map(({ size }) => size)).toEqual(Array(11).fill(0))
    expect(warnings).toEqual([])
  })
})

describe('a web stream whose listeners were removed', () => {
  it('leaves no listener on the signal of its request', async () => {
    const { signal } = new AbortController()
    const remove = vi.spyOn(signal, 'removeEventListener')
    const streams: SseStream[] = []
    const request = new Request('http://a/')
    Object.defineProperty(request, 'signal', { value: signal })
    createSseResponse(request, (stream) => void streams.push(stream))
    streams[0]?.removeAllListeners().destroy()
    await settled()
    expect(remove).toHaveBeenCalledOnce()
  })
})
