import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { SseError } from '../../src/errors.ts'
import type { Filter } from '../../src/hub/filter.ts'
import { Hub } from '../../src/hub/hub.ts'
import type { HubOptions } from '../../src/hub/hub-options.ts'
import { memoryStore } from '../../src/stores/memory/memory-store.ts'
import { eventsOf, sseError, subscribed } from '../support/hub.ts'
import { HubClient } from '../support/hub-client.ts'
import { valuesOf } from '../support/process-errors.ts'
import { STORES } from '../support/stores.ts'
import { fakeStream, settled } from '../support/streams.ts'

const failure = new Error('filter')

/** Throws for the event `bad`. */
const throwing: Filter = ({ data }) => {
  if (data === 'bad') throw failure
  return true
}

/** Returns a hub, the errors that it emits, and what it prints. */
function reportingHub({ listens = true, ...options }: HubOptions & { listens?: boolean } = {}) {
  const hub = new Hub(options)
  const errors: unknown[][] = []
  if (listens) hub.on('error', (...args) => errors.push(args))
  const print = vi.spyOn(console, 'error').mockImplementation(() => {})
  onTestFinished(() => print.mockRestore())
  return { hub, channel: hub.channel('a'), errors, print }
}

/** Publishes texts on `a`. Resolves with their ids. */
async function publishAll(hub: Hub, ...texts: string[]): Promise<string[]> {
  const ids = await Promise.all(texts.map((data) => hub.channel('a').publish({ data })))
  await settled()
  return ids
}

describe.each(STORES)('a filter that throws, on a %s store', (_name, open) => {
  it('hides a live event from its client only, which stays connected, and is reported', async () => {
    const { hub, errors, print } = reportingHub({ store: open() })
    const { stream, transport } = fakeStream()
    hub.subscribe(stream, 'a', { filter: throwing })
    const other = await subscribed(hub, ['a'])

    const [, id] = await publishAll(hub, 'first', 'bad', 'last')

    expect(eventsOf(transport)).toEqual(['message first', 'message last'])
    expect(eventsOf(other.transport)).toEqual(['message first', 'message bad', 'message last'])
    expect(stream.closed).toBe(false)
    expect(errors).toEqual([[failure, { channel: 'a', id, stream }]])
    expect(print).not.toHaveBeenCalled()
  })

  it('hides a replayed event on every connection, and the client resumes after it', async () => {
    const { hub, errors } = reportingHub({ store: open() })
    const client = new HubClient(hub, ['a'], { filter: throwing })
    await subscribed(hub, ['a'])
    const [start = ''] = await publishAll(hub, 'start', 'bad', 'good', 'bad')

    client.lastEventId = start
    for (let connection = 0; connection < 4; connection++) {
      client.connect()
      await settled()
      await publishAll(hub, `live ${connection}`, 'bad')
      expect(client.stream?.closed).toBe(false)
      client.cut()
    }

    expect(client.data).toEqual(['good', 'live 0', 'live 1', 'live 2', 'live 3'])
    // The events before `good` and after each live one, which the next connection reads again.
    expect(errors.length).toBeGreaterThanOrEqual(6)
    expect(new Set(errors.map(([error]) => error))).toEqual(new Set([failure]))
  })
})

describe('a filter that returns no boolean', () => {
  it.each<[string, () => unknown]>([
    ['a promise', async () => true],
    ['a rejected promise', () => Promise.reject(failure)],
    ['undefined', () => undefined],
    ['1', () => 1],
    ['"yes"', () => 'yes'],
    ['null', () => null],
  ])('hides each event and is reported: %s', async (_name, filter) => {
    const { hub, errors } = reportingHub()
    const unhandled = valuesOf('unhandledRejection')
    const start = await hub.channel('a').publish({ data: 'start' })
    await publishAll(hub, 'missed')
    const { stream, transport } = fakeStream({}, start)
    hub.subscribe(stream, 'a', { filter: filter as never })
    await settled()
    await publishAll(hub, 'live')

    expect(eventsOf(transport)).toEqual([])
    expect(stream.closed).toBe(false)
    expect(errors.map(([error]) => error)).toEqual([sseError('ERR_SSE_OPTION'), sseError('ERR_SSE_OPTION')])
    expect(unhandled).toEqual([])
  })
})

describe('the error of a filter', () => {
  it('is printed once per hub if the hub has no listener, beside that of a publish', async () => {
    const { hub, print } = reportingHub({ listens: false })
    hub.subscribe(fakeStream().stream, 'a', { filter: throwing })
    hub.subscribe(fakeStream().stream, 'a', { filter: throwing })
    await settled()

    await publishAll(hub, 'bad', 'bad')
    for (let i = 0; i < 2; i++) void hub.channel('a').publish({ data: 1n as never })
    await settled()

    expect(print.mock.calls).toEqual([
      [
        'A filter failed for "a", which hides the event. ' +
          "Spillway prints no further filter errors of this hub: use hub.on('error', listener). Error: filter",
      ],
      [expect.stringMatching(/^An unawaited publish to "a" was rejected\./)],
    ])
  })

  it('is reported for each event and client, on spillway:filter:error too', async () => {
    const { hub, errors } = reportingHub()
    const messages: unknown[] = []
    const record = (message: unknown) => void messages.push(message)
    subscribe('spillway:filter:error', record)
    onTestFinished(() => void unsubscribe('spillway:filter:error', record))
    const streams = [fakeStream().stream, fakeStream().stream]
    for (const stream of streams) hub.subscribe(stream, 'a', { filter: throwing })
    await settled()

    const [one, other] = await publishAll(hub, 'bad', 'bad')

    const contexts = streams.flatMap((stream) => [one, other].map((id) => ({ channel: 'a', id, stream })))
    expect(errors).toEqual(contexts.map((context) => [failure, context]))
    expect(messages).toEqual(contexts.map((context) => ({ hub, ...context, error: failure })))
  })

  it('reaches a listener after the fan-out, so that an exception of the listener stops no delivery', async () => {
    const hub = new Hub()
    const uncaught = valuesOf('uncaughtException')
    hub.on('error', () => {
      throw new Error('listener')
    })
    const failing = fakeStream()
    hub.subscribe(failing.stream, 'a', { filter: throwing })
    const other = await subscribed(hub, ['a'])

    await publishAll(hub, 'bad', 'good')

    expect(eventsOf(failing.transport)).toEqual(['message good'])
    expect(eventsOf(other.transport)).toEqual(['message bad', 'message good'])
    expect(uncaught).toEqual([new Error('listener')])
  })
})

describe('a filter that changes the event', () => {
  const changes: Array<
    [string, (event: { data?: { secret: boolean; tags: string[] }; id?: unknown }) => unknown]
  > = [
    ['its data', (event) => Object.assign(event.data as object, { secret: false })],
    ['a field of it', (event) => Object.assign(event, { data: { secret: false } })],
    ['a list in its data', (event) => event.data?.tags.push('public')],
    ['its data by deletion', (event) => Reflect.deleteProperty(event.data as object, 'secret') || fail()],
  ]
  const fail = () => {
    throw new TypeError('not deleted')
  }

  it.each(changes)(
    'cannot change %s for other filters, other clients or the replay',
    async (_name, change) => {
      const { hub, errors } = reportingHub()
      const start = await hub.channel('a').publish({ data: 'start' })
      const mutating: Filter = (event) => typeof change(event) !== 'symbol'
      const strict: Filter = ({ data }) => !data.secret && !data.tags?.includes('public')
      const [changing, other] = [fakeStream(), fakeStream()]
      hub.subscribe(changing.stream, 'a', { filter: mutating })
      hub.subscribe(other.stream, 'a', { filter: strict })
      const third = await subscribed(hub, ['a'])

      await hub.channel('a').publish({ data: { secret: true, tags: ['internal'] } })
      await settled()
      const replayed = fakeStream({}, start)
      hub.subscribe(replayed.stream, 'a', { filter: strict })
      await settled()

      expect(eventsOf(changing.transport)).toEqual([])
      expect(errors).toEqual([[expect.any(TypeError), expect.objectContaining({ stream: changing.stream })]])
      expect(eventsOf(other.transport)).toEqual([])
      expect(eventsOf(replayed.transport)).toEqual([])
      expect(eventsOf(third.transport)).toEqual(['message {"secret":true,"tags":["internal"]}'])
    },
  )
})

describe('deserialize', () => {
  const serialize = (data: unknown) => `v1:${JSON.stringify(data)}`
  const open = (deserialize: HubOptions['deserialize'], store = memoryStore()) =>
    reportingHub({ serialize, deserialize, store })

  it('returns the data that filters see, and is called once per event', async () => {
    const deserialize = vi.fn((text: string) => new Map(Object.entries(JSON.parse(text.slice(3)))))
    const { hub, channel } = open(deserialize)
    const filter = vi.fn(({ data }) => data.get('level') < 2)
    const streams = [fakeStream(), fakeStream()]
    for (const { stream } of streams) hub.subscribe(stream, 'a', { filter })
    await settled()

    await channel.publish({ data: { level: 1 } })
    await channel.publish({ data: { level: 2 } })
    await settled()

    for (const { transport } of streams) expect(eventsOf(transport)).toEqual(['message v1:{"level":1}'])
    expect(deserialize.mock.calls).toEqual([['v1:{"level":1}'], ['v1:{"level":2}']])
    expect(filter).toHaveBeenCalledTimes(4)
  })

  it('is not called for text, nor while no client has a filter', async () => {
    const deserialize = vi.fn()
    const { hub, channel } = open(deserialize)
    await subscribed(hub, ['a'])
    await channel.publish({ data: { level: 1 } })
    const filter = vi.fn(() => true)
    hub.subscribe(fakeStream().stream, 'a', { filter })
    await settled()

    const id = await channel.publish({ data: 'v1:{}' })
    await settled()

    expect(filter).toHaveBeenCalledWith({ id, data: 'v1:{}' }, 'a')
    expect(deserialize).not.toHaveBeenCalled()
  })

  it.each(STORES)(
    'that throws hides the event from clients with a filter, on a %s store',
    async (_name, openStore) => {
      const cause = new Error('version')
      const deserialize = vi.fn((text: string) => {
        if (text.includes('bad')) throw cause
        return text
      })
      const { hub, channel, errors } = open(deserialize, openStore())
      const filter = vi.fn(() => true)
      const filtered = [fakeStream(), fakeStream()]
      for (const { stream } of filtered) hub.subscribe(stream, 'a', { filter })
      const other = await subscribed(hub, ['a'])
      const start = await channel.publish({ data: ['start'] })

      const id = await channel.publish({ data: ['bad'] })
      await channel.publish({ data: ['good'] })
      await settled()
      const replayed = fakeStream({}, start)
      hub.subscribe(replayed.stream, 'a', { filter })
      await settled()

      for (const { stream, transport } of filtered) {
        expect(eventsOf(transport)).toEqual(['message v1:["start"]', 'message v1:["good"]'])
        expect(stream.closed).toBe(false)
      }
      expect(eventsOf(replayed.transport)).toEqual(['message v1:["good"]'])
      expect(eventsOf(other.transport)).toHaveLength(3)
      const message = 'data could not be deserialized: version'
      expect(errors).toEqual([[new SseError('ERR_SSE_DATA', message, { cause }), { channel: 'a', id }]])
      expect(deserialize).toHaveBeenCalledTimes(3)
    },
  )

  it('that is asynchronous hides the event, and its rejection is not unhandled', async () => {
    const unhandled = valuesOf('unhandledRejection')
    const { hub, channel, errors } = open(() => Promise.reject(new Error('late')))
    const { stream, transport } = fakeStream()
    hub.subscribe(stream, 'a', { filter: () => true })
    await settled()
    const id = await channel.publish({ data: {} })
    await settled()
    expect(eventsOf(transport)).toEqual([])
    const message = 'data could not be deserialized: deserialize must return the data, not a promise.'
    expect(errors).toEqual([
      [expect.objectContaining({ code: 'ERR_SSE_DATA', message }), { channel: 'a', id }],
    ])
    expect(unhandled).toEqual([])
  })

  it('freezes the plain objects that it returns, and no instance of a class', async () => {
    class Money {
      amount = 1
    }
    const money = new Money()
    const { hub, channel, errors } = open(() => ({ money, bytes: new Uint8Array(1), plain: { at: 1 } }))
    const { stream, transport } = fakeStream()
    hub.subscribe(stream, 'a', {
      filter: ({ data }) => {
        data.money.amount += 1
        data.bytes[0] = 1
        return Object.isFrozen(data) && Object.isFrozen(data.plain)
      },
    })
    await settled()

    await channel.publish({ data: {} })
    await settled()

    expect(eventsOf(transport)).toHaveLength(1)
    expect(money.amount).toBe(2)
    expect(errors).toEqual([])
  })

  it('reports a value that cannot be frozen, because a getter throws', async () => {
    const cause = new Error('getter')
    const { hub, channel, errors } = open(() => ({
      get price() {
        throw cause
      },
    }))
    hub.subscribe(fakeStream().stream, 'a', { filter: () => true })
    await channel.publish({ data: {} })
    await settled()
    expect(errors).toMatchObject([[{ code: 'ERR_SSE_DATA', cause }, { channel: 'a' }]])
  })

  it('must be a function', () => {
    expect(() => new Hub({ deserialize: 'json' as never })).toThrow('Option deserialize must be a function')
    expect(() => new Hub({ deserialise: JSON.parse } as never)).toThrow('Did you mean deserialize?')
  })
})
