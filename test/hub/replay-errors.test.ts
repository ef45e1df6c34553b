import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { SseError } from '../../src/errors.ts'
import { Hub } from '../../src/hub/hub.ts'
import type { SubscribeOptions } from '../../src/hub/subscribe-options.ts'
import { MemoryStore } from '../../src/stores/memory/memory-store.ts'
import { deferred } from '../support/deferred.ts'
import { eventsOf, sseError, subscribed } from '../support/hub.ts'
import { valuesOf } from '../support/process-errors.ts'
import { closed, fakeStream, settled } from '../support/streams.ts'

const failure = new Error('no database')

/** Returns a hub, the errors that it emits, and what is printed. */
function reportingHub({ listens = true, store = new MemoryStore() } = {}) {
  const hub = new Hub({ store })
  const errors: unknown[][] = []
  if (listens) hub.on('error', (...args) => errors.push(args))
  const print = vi.spyOn(console, 'error').mockImplementation(() => {})
  onTestFinished(() => print.mockRestore())
  return { hub, store, errors, print }
}

/** Rejects each read of a store with an error. */
function rejectReads(store: MemoryStore, errorOf: () => Error): void {
  vi.spyOn(store, 'read').mockImplementation((): never => Promise.reject(errorOf()) as never)
}

/**
 * Subscribes new clients to `a`, or clients that resume after an id. Resolves with the streams when they have failed.
 */
async function subscribeAll(hub: Hub, options: SubscribeOptions, count = 1, lastEventId?: string) {
  const streams = Array.from({ length: count }, () => fakeStream({}, lastEventId).stream)
  for (const stream of streams) hub.subscribe(stream, 'a', options)
  await settled()
  return streams
}

describe('the error of a snapshot or of onGap', () => {
  it.each<[string, () => unknown, unknown]>([
    ['is an object, and no source', async () => ({ price: 1 }), sseError('ERR_SSE_SOURCE')],
    ['is rejected', () => Promise.reject(failure), failure],
    ['has an item that is no event', async () => [{ id: 7, name: 'ada' }], sseError('ERR_SSE_EVENT')],
    ['is rejected without an error', () => Promise.reject(undefined), expect.any(Error)],
  ])('is emitted with the stream if the result %s', async (_name, result, error) => {
    const { hub, errors, print } = reportingHub()

    const [first] = await subscribeAll(hub, { snapshot: result as never })
    const [second] = await subscribeAll(hub, { onGap: result as never }, 1, 'unknown-1')

    expect(errors).toEqual([
      [error, { channel: 'a', stream: first }],
      [error, { channel: 'a', stream: second }],
    ])
    expect([first?.closeReason, second?.closeReason]).toEqual(['error', 'error'])
    expect(print).not.toHaveBeenCalled()
  })

  it('has no channel in its context if the stream is subscribed to several', async () => {
    const { hub, errors } = reportingHub()
    const { stream } = fakeStream()
    hub.subscribe(stream, ['a', 'b'], { snapshot: () => Promise.reject(failure) })
    await settled()
    expect(errors).toEqual([[failure, { channel: undefined, stream }]])
  })

  it('is printed once per hub if the hub has no listener', async () => {
    const { hub, print } = reportingHub({ listens: false })

    await subscribeAll(hub, { snapshot: () => Promise.reject(failure) }, 5)
    await subscribeAll(hub, { onGap: () => Promise.reject(failure) }, 5, 'unknown-1')

    expect(print.mock.calls).toEqual([
      [
        'A read of the store, a snapshot or onGap failed for a stream on "a", which closes the stream. ' +
          "Spillway prints no further replay errors of this hub: use hub.on('error', listener). Error: no database",
      ],
    ])
  })

  it('is passed to the close event too', async () => {
    const { hub } = reportingHub()
    const { stream } = fakeStream()
    const end = closed(stream)
    hub.subscribe(stream, 'a', { snapshot: () => Promise.reject(failure) })
    expect(await end).toEqual({ reason: 'error', error: failure })
  })

  it('reaches a listener at the end of the turn, so that an exception of the listener affects no stream', async () => {
    const hub = new Hub()
    const uncaught = valuesOf('uncaughtException')
    hub.on('error', () => {
      throw new Error('listener')
    })
    const [stream] = await subscribeAll(hub, { snapshot: () => Promise.reject(failure) })
    const other = await subscribed(hub, ['a'])
    await hub.channel('a').publish({ data: 1 })
    await settled()

    expect(uncaught).toEqual([new Error('listener')])
    expect(stream?.closeReason).toBe('error')
    expect(eventsOf(other.transport)).toEqual(['message 1'])
  })

  it('is not reported after a disconnect', async () => {
    const { hub, errors, print } = reportingHub()
    const { stream, transport } = fakeStream()
    const pending = deferred<never>()
    hub.subscribe(stream, 'a', { snapshot: () => pending.promise })
    await settled()
    transport.lose()
    pending.reject(failure)
    await settled()
    expect([errors, print.mock.calls]).toEqual([[], []])
  })

  it('is not reported if the signal of the stream has aborted the work', async () => {
    const { hub, errors } = reportingHub()
    const pending = deferred<never>()
    const { stream } = fakeStream()
    stream.signal.addEventListener('abort', () => pending.reject(stream.signal.reason))
    hub.subscribe(stream, 'a', { snapshot: () => pending.promise })
    await settled()
    stream.close()
    await settled()
    expect([stream.closeReason, errors]).toEqual(['server', []])
  })
})

describe('the error of a read of a store', () => {
  const outage = () => new SseError('ERR_SSE_STORE', 'The broker did not respond in time.')

  it('is printed', async () => {
    const { hub, store, print } = reportingHub({ listens: false })
    const start = await hub.channel('a').publish({ data: 1 })
    await hub.channel('a').publish({ data: 2 })
    rejectReads(store, outage)

    const streams = await subscribeAll(hub, {}, 3, start)

    expect(streams.map(({ closeReason }) => closeReason)).toEqual(['error', 'error', 'error'])
    expect(print.mock.calls).toEqual([[expect.stringMatching(/ERR_SSE_STORE: The broker did not respond/)]])
  })

  it('is emitted once in 10 s, and not for each client of an outage', async () => {
    const { hub, store, errors } = reportingHub()
    const start = await hub.channel('a').publish({ data: 1 })
    await hub.channel('a').publish({ data: 2 })
    rejectReads(store, outage)
    const now = vi.spyOn(performance, 'now').mockReturnValue(100_000)
    onTestFinished(() => now.mockRestore())

    const [first] = await subscribeAll(hub, {}, 50, start)
    now.mockReturnValue(109_000)
    await subscribeAll(hub, {}, 50, start)
    expect(errors).toEqual([[sseError('ERR_SSE_STORE'), { channel: 'a', stream: first }]])

    now.mockReturnValue(110_000)
    await subscribeAll(hub, {}, 50, start)
    expect(errors).toHaveLength(2)
  })

  it('is emitted for each client if it is an error of the application', async () => {
    const { hub, errors } = reportingHub()
    await subscribeAll(hub, { snapshot: () => Promise.reject(failure) }, 3)
    expect(errors).toHaveLength(3)
  })

  it('is not reported if the store is overloaded, because the client resumes later', async () => {
    const { hub, store, errors, print } = reportingHub()
    const start = await hub.channel('a').publish({ data: 1 })
    await hub.channel('a').publish({ data: 2 })
    rejectReads(store, () => new SseError('ERR_SSE_OVERLOAD', 'Too many reads are waiting.'))

    const [stream] = await subscribeAll(hub, {}, 1, start)

    expect(stream?.closeReason).toBe('replay')
    expect([errors, print.mock.calls]).toEqual([[], []])
  })
})
