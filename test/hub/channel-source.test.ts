import { describe, expect, test, vi } from 'vitest'
import { Hub } from '../../src/hub/hub.ts'
import { deferred } from '../support/deferred.ts'
import { eventsOf, sseError } from '../support/hub.ts'
import { openRuns, openTwoRuns, PushSource } from '../support/runs.ts'
import { fakeStream, settled } from '../support/streams.ts'

const errorsOf = (hub: Hub) => {
  const errors: unknown[] = []
  hub.on('error', (error) => errors.push(error))
  return errors
}

describe('a channel', () => {
  test('counts its streams, and reports its first and its last one', async () => {
    const hub = new Hub()
    const a = hub.channel('a')
    const log: string[] = []
    hub.on('active', (channel) => log.push(`active ${channel}`))
    hub.on('idle', (channel) => log.push(`idle ${channel}`))
    const [first, second] = [fakeStream(), fakeStream()]
    const unsubscribe = a.subscribe(first.stream)
    a.subscribe(first.stream, { filter: () => true })
    hub.subscribe(second.stream, ['a', 'b'])
    expect([a.size, hub.channel('b').size, hub.channel('c').size]).toEqual([2, 1, 0])
    await settled()
    expect(log).toEqual(['active a', 'active b'])
    unsubscribe()
    unsubscribe()
    expect(a.size).toBe(2)
    second.transport.lose()
    await settled()
    expect(a.size).toBe(1)
    first.stream.destroy()
    await settled()
    expect(a.size).toBe(0)
    expect(log).toEqual(['active a', 'active b', 'idle b', 'idle a'])
  })

  test('counts a stream that unsubscribes from some of its channels', () => {
    const hub = new Hub()
    const { stream } = fakeStream()
    const fromA = hub.subscribe(stream, 'a')
    const fromB = hub.subscribe(stream, ['b', 'a'])
    fromA()
    expect([hub.channel('a').size, hub.channel('b').size]).toEqual([1, 1])
    fromB()
    expect([hub.channel('a').size, hub.channel('b').size, hub.size]).toEqual([0, 0, 0])
  })
})

describe('the source of a channel', () => {
  test('runs while the channel has subscribers, and lingers', async () => {
    const hub = new Hub()
    const source = new PushSource()
    const open = vi.fn((signal: AbortSignal) => source.read(signal))
    const a = hub.channel('a', { source: open, linger: 50 })
    await settled()
    expect(open).not.toHaveBeenCalled()
    const first = fakeStream()
    a.subscribe(first.stream)
    source.push({ data: 1 })
    await settled()
    expect(eventsOf(first.transport)).toEqual(['message 1'])
    first.stream.destroy()
    await settled()
    const second = fakeStream()
    hub.subscribe(second.stream, 'a')
    source.push({ data: 2 })
    await settled()
    expect(eventsOf(second.transport)).toEqual(['message 2'])
    expect(open).toHaveBeenCalledTimes(1)
    second.stream.destroy()
    await vi.waitFor(() => expect(source.isClosed).toBe(true))
    await hub.shutdown()
  })

  test('is opened again only after the previous one is closed', async () => {
    const hub = new Hub()
    const closing = deferred<void>()
    let running = 0
    let most = 0
    async function* source(signal: AbortSignal) {
      running += 1
      most = Math.max(most, running)
      try {
        await new Promise((resolve) => signal.addEventListener('abort', resolve))
        yield { data: 'late' }
      } finally {
        await closing.promise
        running -= 1
      }
    }
    const a = hub.channel('a', { source, linger: 0 })
    const unsubscribe = a.subscribe(fakeStream().stream)
    await settled()
    unsubscribe()
    await vi.waitFor(() => expect(a.size).toBe(0))
    a.subscribe(fakeStream().stream)
    await settled()
    closing.resolve()
    await vi.waitFor(() => expect(running).toBe(1))
    expect(most).toBe(1)
    await hub.shutdown({ grace: 0 })
    expect(running).toBe(0)
  })

  test('is started again after it has failed, and its error is emitted', async () => {
    const hub = new Hub()
    const errors = errorsOf(hub)
    let calls = 0
    const source = () => {
      calls += 1
      if (calls === 1) throw new Error('upstream')
      return [{ data: calls }]
    }
    const { stream, transport } = fakeStream()
    hub.channel('a', { source }).subscribe(stream)
    await vi.waitFor(() => expect(eventsOf(transport)).toContain('message 2'), 10_000)
    expect(errors).toEqual([expect.objectContaining({ message: 'upstream' })])
    await hub.shutdown({ grace: 0 })
  })

  test('starts for a channel that has subscribers already', async () => {
    const hub = new Hub()
    const { stream, transport } = fakeStream()
    hub.channel('a').subscribe(stream)
    hub.channel('a', { source: () => [{ data: 1 }] })
    await settled()
    expect(eventsOf(transport)).toEqual(['message 1'])
    await hub.shutdown({ grace: 0 })
  })

  test('needs runs for a store that processes share', () => {
    const store = Object.assign(Object.create(new Hub()._store), { isShared: true, open: () => {} })
    const hub = new Hub({ store })
    const source = () => []
    expect(() => hub.channel('a', { source })).toThrow(sseError('ERR_SSE_OPTION'))
    expect(() => new Hub({ runs: {} as never })).toThrow(sseError('ERR_SSE_OPTION'))
    expect(() => hub.channel('a', { source: 7 as never })).toThrow(sseError('ERR_SSE_OPTION'))
    expect(() => hub.channel('a', { linger: -1 })).toThrow(sseError('ERR_SSE_OPTION'))
  })

  test('runs in one process of all, and moves to another one', async () => {
    const runs = openTwoRuns({ lease: 1_000 })
    let [running, most] = [0, 0]
    const opened: string[] = []
    const hubOf = (name: 'first' | 'second') => {
      const hub = new Hub({ runs: runs[name] })
      async function* source(signal: AbortSignal) {
        running += 1
        most = Math.max(most, running)
        opened.push(name)
        try {
          yield { data: name }
          await new Promise((resolve) => signal.addEventListener('abort', resolve))
        } finally {
          running -= 1
        }
      }
      return { hub, channel: hub.channel('a', { source, linger: 40 }) }
    }
    const [one, two] = [hubOf('first'), hubOf('second')]
    const unsubscribeOne = one.channel.subscribe(fakeStream().stream)
    const unsubscribeTwo = two.channel.subscribe(fakeStream().stream)
    await vi.waitFor(() => expect(running).toBe(1), 5_000)
    unsubscribeOne()
    await new Promise((resolve) => setTimeout(resolve, 200))
    // The other process still has a subscriber.
    expect(running).toBe(1)
    unsubscribeTwo()
    await vi.waitFor(() => expect(running).toBe(0), 5_000)
    two.channel.subscribe(fakeStream().stream)
    await vi.waitFor(() => expect(running).toBe(1), 5_000)
    expect(opened).toEqual(['first', 'second'])
    expect(most).toBe(1)
    await Promise.all([one.hub.shutdown({ grace: 0 }), two.hub.shutdown({ grace: 0 })])
  })

  test('is stopped at the shutdown of the runs', async () => {
    const runs = openRuns()
    const hub = new Hub({ runs })
    const errors = errorsOf(hub)
    const source = new PushSource()
    hub.channel('a', { source: (signal) => source.read(signal) }).subscribe(fakeStream().stream)
    await settled()
    expect(runs.running).toBe(1)
    await hub.shutdown({ grace: 0 })
    await runs.shutdown({ grace: 0 })
    expect(source.isClosed).toBe(true)
    expect(errors).toEqual([])
  })
})
