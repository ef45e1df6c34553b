import { AsyncLocalStorage } from 'node:async_hooks'
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { once } from 'node:events'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { SseError } from '../../src/errors.ts'
import { Hub } from '../../src/hub/hub.ts'
import { memoryStore } from '../../src/stores/memory/memory-store.ts'
import { deferred } from '../support/deferred.ts'
import { sseError } from '../support/hub.ts'
import { valuesOf } from '../support/process-errors.ts'
import { fakeStream, settled } from '../support/streams.ts'

const failure = new SseError('ERR_SSE_STORE', 'The broker is lost.')

/** Returns a hub whose store rejects every publish, the errors that it emits, and what it prints. */
function failingHub({ listens = true, error = failure as unknown } = {}) {
  const store = memoryStore()
  store.append = () => Promise.reject(error)
  const hub = new Hub({ store })
  const errors: unknown[][] = []
  if (listens) hub.on('error', (...args) => errors.push(args))
  const print = vi.spyOn(console, 'error').mockImplementation(() => {})
  onTestFinished(() => print.mockRestore())
  return { hub, channel: hub.channel('a'), errors, print, unhandled: unhandledRejections() }
}

/** Returns an array of the unhandled rejections of the process during the test. */
function unhandledRejections(): unknown[] {
  return valuesOf('unhandledRejection')
}

describe('a rejected publish that is not awaited', () => {
  it('emits `error` on the hub with the channel, and is never unhandled', async () => {
    const { channel, errors, print, unhandled } = failingHub()
    void channel.publish({ data: 1 })
    await settled()
    expect(errors).toEqual([[failure, { channel: 'a' }]])
    expect(unhandled).toEqual([])
    expect(print).not.toHaveBeenCalled()
  })

  it('is printed in one line, once per hub, if the hub has no listener', async () => {
    const { hub, channel, print, unhandled } = failingHub({ listens: false })
    for (let i = 0; i < 3; i++) void channel.publish({ data: i })
    await settled()
    void hub.channel('b').publish({ data: 1 })
    await settled()
    expect(print.mock.calls).toEqual([
      [
        'An unawaited publish to "a" was rejected. ' +
          "Spillway prints no further errors of this hub: use hub.on('error', listener). " +
          'ERR_SSE_STORE: The broker is lost.',
      ],
    ])
    const other = failingHub({ listens: false, error: Object.create(null) })
    void other.channel.publish({ data: 1 })
    await settled()
    expect(other.print.mock.lastCall?.[0]).toContain('an object')
    expect(unhandled).toEqual([])
  })

  it('is reported on spillway:publish:error with and without a listener', async () => {
    const messages: unknown[] = []
    const record = (message: unknown) => void messages.push(message)
    subscribe('spillway:publish:error', record)
    onTestFinished(() => void unsubscribe('spillway:publish:error', record))
    const hubs = [failingHub(), failingHub({ listens: false })]
    for (const { channel } of hubs) void channel.publish({ data: 1 })
    await channelAwaits(hubs[0])
    await settled()
    expect(messages).toEqual(hubs.map(({ hub }) => ({ hub, channel: 'a', error: failure })))
  })

  it.each<[string, object]>([
    ['without data', {}],
    ['with an id', { data: 1, id: '1' }],
    ['that cannot be serialized', { data: 1n }],
  ])('is reported for an event %s', async (_, event) => {
    const { errors, unhandled } = await publishedUnawaited(event)
    expect(errors).toHaveLength(1)
    expect(unhandled).toEqual([])
  })

  it('is reported if a filter publishes it during a fan-out', async () => {
    const hub = new Hub()
    const errors: unknown[] = []
    hub.on('error', (error) => errors.push(error))
    const unhandled = unhandledRejections()
    hub.subscribe(fakeStream().stream, 'a', {
      filter: () => {
        hub._store.append = () => Promise.reject(failure)
        void hub.channel('a').publish({ data: 2 })
        return true
      },
    })
    await settled()
    await hub.channel('a').publish({ data: 1 })
    await settled()
    expect(errors).toEqual([failure])
    expect(unhandled).toEqual([])
  })

  it('is reported in the asynchronous context of the publish', async () => {
    const { hub, channel } = failingHub()
    const storage = new AsyncLocalStorage<string>()
    const contexts: unknown[] = []
    hub.on('error', () => contexts.push(storage.getStore()))
    storage.run('publisher', () => void channel.publish({ data: 1 }))
    await settled()
    expect(contexts).toEqual(['publisher'])
  })

  it('is reported once and still received if it is awaited too late', async () => {
    const { channel, errors, unhandled } = failingHub()
    const published = channel.publish({ data: 1 })
    await settled()
    await expect(published).rejects.toBe(failure)
    expect(errors).toHaveLength(1)
    expect(unhandled).toEqual([])
  })
})

describe('a rejected publish that is awaited', () => {
  type Published = Promise<string>
  const ways: Array<[name: string, use: (published: Published) => unknown]> = [
    ['await', async (published) => await published],
    ['then', (published) => published.then(undefined, (error) => Promise.reject(error))],
    ['catch', (published) => published.catch((error) => Promise.reject(error))],
    ['finally', (published) => published.finally(() => {})],
    ['return from an async function', async (published) => published],
    ['Promise.all', (published) => Promise.all([published])],
    ['Promise.race', (published) => Promise.race([published])],
    ['Promise.resolve', (published) => Promise.resolve(published)],
  ]

  it.each(ways)('is received by %s and not reported', async (_, use) => {
    const { channel, errors, unhandled } = failingHub()
    await expect(use(channel.publish({ data: 1 }))).rejects.toBe(failure)
    await settled()
    expect(errors).toEqual([])
    expect(unhandled).toEqual([])
  })

  it('is not reported if it is awaited before it is rejected, or in the same turn', async () => {
    const { hub, channel, errors } = failingHub()
    const append = deferred<string>()
    hub._store.append = () => append.promise
    const published = channel.publish({ data: 1 })
    await settled()
    append.reject(failure)
    await Promise.resolve()
    await new Promise<void>((resolve) => process.nextTick(resolve))
    await expect(published).rejects.toBe(failure)
    await settled()
    expect(errors).toEqual([])
  })

  it('has an unhandled rejection if the promise that `then` returns has no handler', async () => {
    const { channel, errors, unhandled } = failingHub()
    void channel.publish({ data: 1 }).then(() => {})
    await settled()
    expect(unhandled).toEqual([failure])
    expect(errors).toEqual([])
  })
})

describe('publish', () => {
  it('returns a promise whose derived promises are native', async () => {
    const published = new Hub().channel('a').publish({ data: 1 })
    expect(published).toBeInstanceOf(Promise)
    expect(published.then(() => {}).constructor).toBe(Promise)
    expect(await published).toMatch(/-1$/)
  })
})

describe('droppedPublishes', () => {
  it('counts unawaited publishes after a shutdown, which are neither emitted nor printed', async () => {
    const hub = new Hub()
    const onError = vi.fn()
    hub.on('error', onError)
    const print = vi.spyOn(console, 'error').mockImplementation(() => {})
    onTestFinished(() => print.mockRestore())
    const codes: unknown[] = []
    const record = (message: unknown) => void codes.push((message as { error: SseError }).error.code)
    subscribe('spillway:publish:error', record)
    onTestFinished(() => void unsubscribe('spillway:publish:error', record))
    const unhandled = unhandledRejections()
    await hub.shutdown()

    for (let i = 0; i < 3; i++) void hub.channel('a').publish({ data: i })
    await expect(hub.channel('a').publish({ data: 1 })).rejects.toThrow(sseError('ERR_SSE_SHUT_DOWN'))
    await settled()

    expect(hub.droppedPublishes).toBe(3)
    expect(codes).toEqual(Array(3).fill('ERR_SSE_SHUT_DOWN'))
    expect(onError).not.toHaveBeenCalled()
    expect(print).not.toHaveBeenCalled()
    expect(unhandled).toEqual([])
  })
})

describe('hub.on, once and off', () => {
  it('call a listener of `error` for each error, once, or no longer', async () => {
    const { hub, channel } = failingHub({ listens: false })
    const [always, first, removed] = [vi.fn(), vi.fn(), vi.fn()]
    expect(hub.on('error', always).once('error', first).on('error', removed).off('error', removed)).toBe(hub)
    for (let i = 0; i < 2; i++) void channel.publish({ data: i })
    await settled()
    expect([always, first, removed].map(({ mock }) => mock.calls.length)).toEqual([2, 1, 0])
  })

  it('print the next error after the last listener was removed', async () => {
    const { hub, channel, print } = failingHub({ listens: false })
    const listener = vi.fn()
    hub.once('error', listener)
    for (let i = 0; i < 2; i++) void channel.publish({ data: i })
    await settled()
    expect(listener).toHaveBeenCalledOnce()
    expect(print).toHaveBeenCalledOnce()
  })

  it('work with `once` of node:events', async () => {
    const { hub, channel } = failingHub({ listens: false })
    const emitted = once(hub, 'error')
    void channel.publish({ data: 1 })
    expect(await emitted).toEqual([failure, { channel: 'a' }])
  })

  it('leave the exception of a listener uncaught', async () => {
    const { hub, channel } = failingHub({ listens: false })
    const uncaught = valuesOf('uncaughtException')
    hub.on('error', () => {
      throw new Error('listener')
    })
    void channel.publish({ data: 1 })
    await settled()
    expect(uncaught).toEqual([new Error('listener')])
  })
})

async function publishedUnawaited(event: object) {
  const hub = new Hub()
  const errors: unknown[] = []
  hub.on('error', (error) => errors.push(error))
  const unhandled = unhandledRejections()
  void hub.channel('a').publish(event as never)
  await settled()
  return { errors, unhandled }
}

async function channelAwaits(failing: ReturnType<typeof failingHub> | undefined): Promise<void> {
  await expect(failing?.channel.publish({ data: 1 })).rejects.toBe(failure)
}
