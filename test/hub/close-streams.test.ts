import { describe, expect, it, vi } from 'vitest'
import { Hub } from '../../src/hub/hub.ts'
import { BrokerStore } from '../../src/stores/broker/broker-store.ts'
import { BROKER_DEFAULTS } from '../../src/stores/broker/options.ts'
import { encodeRecord } from '../../src/stores/broker/record.ts'
import type { Publication } from '../../src/stores/log-entry.ts'
import { memoryStore } from '../../src/stores/memory/memory-store.ts'
import type { SseStream } from '../../src/stream/stream.ts'
import { FakeLog } from '../stores/broker/fake-log.ts'
import { drainAll, eventsOf, publishNumbers, sseError, subscribed } from '../support/hub.ts'
import { valuesOf } from '../support/process-errors.ts'
import { deferred } from '../support/serve.ts'
import { STORES } from '../support/stores.ts'
import { closed, fakeStream, settled } from '../support/streams.ts'

/** Subscribes a stream whose context has a user. */
async function streamOf(hub: Hub, userId: unknown, lastEventId?: string) {
  const opened = fakeStream({ context: { userId } }, lastEventId)
  hub.subscribe(opened.stream, 'a')
  await settled()
  return opened
}

function fail(): never {
  throw new Error('no address')
}

class PrivateUser {
  readonly #userId: string

  constructor(userId: string) {
    this.#userId = userId
  }

  get userId(): string {
    return this.#userId
  }
}

describe('hub.streams', () => {
  it('has the open streams of the hub', async () => {
    const hub = new Hub()
    const { stream } = await streamOf(hub, 'ada')
    const other = await streamOf(hub, 'bob')
    expect([...hub.streams]).toEqual([stream, other.stream])
    other.stream.destroy()
    await settled()
    expect([...hub.streams]).toEqual([stream])
  })
})

describe('hub.closeStreams', () => {
  it.each([
    ['an object', { userId: 'ada' }],
    ['a function', ({ context }: SseStream) => context.userId === 'ada'],
  ])('closes the streams that %s selects, with a reconnection time', async (_, filter) => {
    const hub = new Hub()
    const [ada, bob] = [await streamOf(hub, 'ada'), await streamOf(hub, 'bob')]
    const end = closed(ada.stream)
    await hub.closeStreams(filter, { retry: 5_000 })
    expect((await end).reason).toBe('server')
    expect(Number(/retry: (\d+)\n/.exec(ada.transport.writes.join(''))?.[1])).toBeGreaterThanOrEqual(5_000)
    expect([bob.stream.closed, hub.size]).toEqual([false, 1])
  })

  it('sends nothing of a replay after it', async () => {
    const hub = new Hub()
    const start = await publishNumbers(hub, 100, { size: 60_000 })
    const { stream, transport } = fakeStream({ context: { userId: 'ada' } }, start)
    transport.isFull = true
    hub.subscribe(stream, 'a')
    await settled()
    await hub.closeStreams({ userId: 'ada' })
    const { length } = eventsOf(transport)
    await drainAll(transport)
    expect(stream.closed).toBe(true)
    expect(eventsOf(transport).length).toBeLessThan(10)
    expect(length).toBeLessThan(10)
  })

  it.each([
    ['a value that JSON drops', { userId: undefined }],
    ['a value that is no number', { userId: Number.NaN }],
    ['an object as a value', { userId: { id: 1 } }],
    ['the private field of a class', new PrivateUser('ada')],
    ['a property of a prototype', Object.create({ userId: 'ada' })],
    ['a symbol', { [Symbol('userId')]: 'ada' }],
    ['a property that is not enumerable', Object.defineProperty({}, 'userId', { value: 'ada' })],
    ['a text', 'ada'],
    ['nothing', undefined],
  ])('rejects %s, which could select the streams of everybody', async (_, filter) => {
    const hub = new Hub()
    const { stream } = await streamOf(hub, 'ada')
    await expect(hub.closeStreams(filter as never)).rejects.toThrow(sseError('ERR_SSE_OPTION'))
    await expect(hub.reauthorize(filter as never)).rejects.toThrow(sseError('ERR_SSE_OPTION'))
    expect(stream.closed).toBe(false)
  })

  it.each<[string, unknown]>([
    ['true later', async () => true],
    ['false later', async () => false],
    ['a promise that rejects', async () => Promise.reject(new Error('no database'))],
    ['a text', ({ context }: SseStream) => context.userId],
    ['nothing', () => undefined],
  ])('rejects a function that returns %s, and closes nothing', async (_, filter) => {
    const unhandled = valuesOf('unhandledRejection')
    const hub = new Hub()
    const streams = [(await streamOf(hub, 'ada')).stream, (await streamOf(hub, 'bob')).stream]
    const rechecked = vi.fn()
    for (const stream of streams) stream._reauthorization = { _recheck: rechecked }
    const message = /A filter of streams must synchronously return true or false, not /
    for (const action of [hub.closeStreams(filter as never), hub.reauthorize(filter as never)])
      await expect(action).rejects.toMatchObject({
        code: 'ERR_SSE_OPTION',
        message: expect.stringMatching(message),
      })
    await settled()
    expect([streams.map(({ closed }) => closed), unhandled]).toEqual([[false, false], []])
    expect(rechecked).not.toHaveBeenCalled()
  })

  it.each<[string, () => unknown]>([
    ['throws', () => fail()],
    ['returns something else', () => 1],
  ])('closes no stream if its function %s for a later one', async (_, filterLater) => {
    const hub = new Hub()
    const [ada, bob] = [await streamOf(hub, 'ada'), await streamOf(hub, 'bob')]
    const filter = ({ context }: SseStream) => context.userId === 'ada' || (filterLater() as boolean)
    await expect(hub.closeStreams(filter)).rejects.toThrow(/no address|must synchronously return/)
    expect([ada.stream.closed, bob.stream.closed]).toEqual([false, false])
  })

  it('distinguishes a number from a text', async () => {
    const hub = new Hub()
    const [text, number] = [await streamOf(hub, '7'), await streamOf(hub, 7)]
    await hub.closeStreams({ userId: 7 })
    expect([text.stream.closed, number.stream.closed]).toEqual([false, true])
  })

  it('closes the streams of this process when the store fails', async () => {
    const store = memoryStore()
    const hub = new Hub({ store })
    const { stream } = await streamOf(hub, 'ada')
    vi.spyOn(store, 'append').mockRejectedValue(new Error('no broker'))
    await expect(hub.closeStreams({ userId: 'ada' })).rejects.toThrow('no broker')
    expect(stream.closed).toBe(true)
  })

  it('closes a stream that was opened before and is subscribed after it', async () => {
    const hub = new Hub()
    const late = fakeStream({ context: { userId: 'ada' } })
    const other = fakeStream({ context: { userId: 'bob' } })
    await hub.closeStreams({ userId: 'ada' }, { retry: 5_000 })
    for (const { stream } of [late, other]) hub.subscribe(stream, 'a')
    await hub.channel('a').publish({ data: 'secret' })
    await settled()
    expect(late.stream.closeReason).toBe('server')
    expect(late.transport.all.join('')).toMatch(/retry: \d+\n/)
    expect(eventsOf(late.transport)).toEqual([])
    expect([other.stream.closed, eventsOf(other.transport)]).toEqual([false, ['message secret']])
    expect(hub.size).toBe(1)
  })

  describe('while the store of another process is connecting', () => {
    /** Opens a hub whose store reads a log once `connect` is called. */
    function connectingHub(log: FakeLog) {
      const connected = deferred<void>()
      const open = log.open.bind(log)
      log.open = (...args) => connected.promise.then(() => open(...args))
      const hub = new Hub({ store: new BrokerStore(log, BROKER_DEFAULTS) })
      const connect = async () => {
        connected.resolve()
        await hub._store.ready
        await settled()
      }
      return { hub, connect }
    }

    /** Stores a request of the first process. */
    async function requestIn(log: FakeLog, act: (hub: Hub) => Promise<void>): Promise<void> {
      const store = memoryStore()
      const append = vi.spyOn(store, 'append')
      await act(new Hub({ store }))
      const [publication] = append.mock.lastCall as [Publication]
      log.add(publication.channel, encodeRecord(publication))
    }

    it('closes the streams that were opened before it, also if they are subscribed later', async () => {
      const log = new FakeLog({ entries: 1 })
      const { hub, connect } = connectingHub(log)
      const [ada, bob] = [await streamOf(hub, 'ada'), await streamOf(hub, 'bob')]
      const late = fakeStream({ context: { userId: 'ada' } })
      await requestIn(log, (first) => first.closeStreams({ userId: 'ada' }, { retry: 5_000 }))
      await connect()
      hub.subscribe(late.stream, 'a')
      await settled()
      expect([ada.stream.closeReason, late.stream.closeReason]).toEqual(['server', 'server'])
      expect(ada.transport.all.join('')).toMatch(/retry: \d+\n/)
      expect(bob.stream.closed).toBe(false)
    })

    it('authorizes the streams again that were opened before a `reauthorize`', async () => {
      const log = new FakeLog({ entries: 1 })
      const { hub, connect } = connectingHub(log)
      const { stream } = await streamOf(hub, 'ada')
      const recheck = vi.fn(async () => {})
      stream._reauthorization = { _recheck: recheck }
      await requestIn(log, (first) => first.reauthorize({ userId: 'ada' }))
      await connect()
      expect(recheck).toHaveBeenCalledTimes(1)
    })

    it.each([
      ['was stored before the process started', (data: object) => ({ ...data, sentAt: Date.now() - 60_000 })],
      ['has no time', (data: object) => ({ ...data, sentAt: undefined })],
    ])('closes no stream if it %s', async (_, change) => {
      const log = new FakeLog({ entries: 1 })
      const { hub, connect } = connectingHub(log)
      const { stream } = await streamOf(hub, 'ada')
      const data = JSON.stringify(change({ type: 'close', retry: 1, filter: { userId: 'ada' } }))
      log.add('spillway:control*', encodeRecord({ channel: 'spillway:control*', data, isText: true }))
      await connect()
      expect(stream.closed).toBe(false)
    })
  })

  it('does not close a stream that is opened after it', async () => {
    const hub = new Hub()
    await hub.closeStreams({ userId: 'ada' })
    const since = performance.now()
    while (performance.now() - since < 2) await settled()
    const { stream } = await streamOf(hub, 'ada')
    expect(stream.closed).toBe(false)
  })

  it.each<[string, unknown, boolean]>([
    ['none', undefined, false],
    ['null', null, false],
    [
      'one that cannot be read',
      {
        get userId() {
          throw new Error('no user')
        },
      },
      true,
    ],
    ['one whose prototype has the user', Object.create({ userId: 'ada' }), true],
  ])('closes the others if a stream has the context %s', async (_, context, isClosed) => {
    const hub = new Hub()
    const odd = await streamOf(hub, 'bob')
    odd.stream.context = context as never
    const ada = await streamOf(hub, 'ada')
    await hub.closeStreams({ userId: 'ada' })
    expect([odd.stream.closed, ada.stream.closed]).toEqual([isClosed, true])
  })

  it.concurrent.each([2 ** 31 - 1, 1])('accepts the reconnection time %i', async (retry) => {
    const hub = new Hub()
    const { stream, transport } = await streamOf(hub, 'ada')
    const end = closed(stream)
    await hub.closeStreams({ userId: 'ada' }, { retry })
    await end
    expect(Number(/retry: (\d+)\n/.exec(transport.writes.join(''))?.[1])).toBeLessThan(2 ** 31)
  })

  it.concurrent.each([1e300, 0.5, -1, 'soon', null])(
    'uses its default for the time %s of another program',
    async (retry) => {
      const store = memoryStore()
      const hub = new Hub({ store })
      const { stream, transport } = await streamOf(hub, 'ada')
      const end = closed(stream)
      const data = JSON.stringify({ type: 'close', retry, filter: { userId: 'ada' } })
      await store.append({ channel: 'spillway:control*', data, isText: true })
      expect((await end).reason).toBe('server')
      expect(transport.writes.join('')).toMatch(/retry: [2-4]\d{3}\n/)
    },
  )

  it.each(STORES)('ignores a request that `deserialize` cannot read, on a %s store', async (_, openStore) => {
    const uncaught = valuesOf('uncaughtException')
    const store = openStore()
    const deserialize = vi.fn(() => fail())
    const hub = new Hub({ store, deserialize })
    const errors: unknown[] = []
    hub.on('error', (error) => errors.push(error))
    const { stream } = await streamOf(hub, 'ada')
    for (const data of ['x', '{', '[1]', '{"toString":null}'])
      await store.append({ channel: 'spillway:control*', data })
    await settled()
    expect([uncaught, errors, stream.closed]).toEqual([[], [], false])
    expect(deserialize).not.toHaveBeenCalled()
    await hub.closeStreams({ userId: 'ada' })
    await settled()
    expect(stream.closed).toBe(true)
  })

  it('is no event that a channel can have', async () => {
    const hub = new Hub()
    const { transport } = await subscribed(hub, ['a'])
    await hub.closeStreams({ userId: 'nobody' })
    await hub.channel('a').publish({ data: 'next' })
    await settled()
    expect(eventsOf(transport).filter((event) => !event.startsWith('position'))).toEqual(['message next'])
    expect(() => hub.channel('spillway:control*')).toThrow(sseError('ERR_SSE_CHANNEL'))
  })
})

describe('hub.reauthorize', () => {
  it('calls authorize again for the streams that a filter selects', async () => {
    const hub = new Hub()
    const [ada, bob] = [await streamOf(hub, 'ada'), await streamOf(hub, 'bob')]
    const checked: unknown[] = []
    for (const { stream } of [ada, bob])
      stream._reauthorization = { _recheck: async () => void checked.push(stream.context.userId) }
    await hub.reauthorize({ userId: 'ada' })
    await settled()
    expect(checked).toEqual(['ada'])
  })
})
