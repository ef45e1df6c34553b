import { getEventListeners } from 'node:events'
import { describe, expect, onTestFinished, test, vi } from 'vitest'
import { connect } from '../../src/client/index.ts'
import { connectToFake } from '../support/client-connection.ts'

test('yields events with their data as values, until the server ends the connection', async () => {
  const { next, source } = await connectToFake()
  const items: unknown[] = []
  const reading = (async () => {
    for await (const item of source) items.push(item)
  })()
  const stream = next()
  await stream.open()
  await stream.write('id: 1\nevent: price\ndata: {"value":1}\n\ndata: plain text\n\n')
  await stream.cut()
  expect(items).toEqual([
    { event: 'price', id: '1', data: { value: 1 } },
    { event: 'message', id: '1', data: 'plain text' },
  ])
  source.close()
  await reading
})

test('applies deserialize', async () => {
  const { next, source } = await connectToFake({ deserialize: (text) => text.length })
  const item = source[Symbol.asyncIterator]().next()
  const stream = next()
  await stream.open()
  await stream.write('data: four\n\n')
  expect(await item).toMatchObject({ value: { data: 4 } })
})

test('throws the final error in each iterator, after the events before it', async () => {
  const { next, source, pass } = await connectToFake()
  const read = async () => {
    const items: unknown[] = []
    try {
      for await (const { data } of source) items.push(data)
    } catch (error) {
      items.push((error as { status: number }).status)
    }
    return items
  }
  const reading = [read(), read()]
  const stream = next()
  await stream.open()
  await stream.write('data: 1\n\ndata: 2\n\n')
  await stream.end()
  await pass(1000)
  await next().answer('', 401)
  expect(await Promise.all(reading)).toEqual([
    [1, 2, 401],
    [1, 2, 401],
  ])
})

test('closes the connection when the loop exits', async () => {
  const { next, source } = await connectToFake()
  const reading = (async () => {
    for await (const { data } of source) return data
  })()
  const stream = next()
  await stream.open()
  await stream.write('data: 1\n\ndata: 2\n\n')
  expect([await reading, source.readyState, stream.isAborted]).toEqual([1, source.CLOSED, true])
})

test.each(['that waits for an event', 'that has not begun'])(
  'closes the connection when an iterator %s is returned',
  async (name) => {
    const { next, source } = await connectToFake()
    const iterator = source[Symbol.asyncIterator]()
    const item = name === 'that waits for an event' ? iterator.next() : undefined
    const stream = next()
    await stream.open()
    expect(await iterator.return?.()).toEqual({ done: true, value: undefined })
    expect([source.readyState, stream.isAborted]).toEqual([source.CLOSED, true])
    if (item) expect(await item).toEqual({ done: true, value: undefined })
    expect(await iterator.next()).toEqual({ done: true, value: undefined })
  },
)

test('stops the reader while 64 events wait, so that the server stops sending', async () => {
  const { next, source, pass } = await connectToFake()
  const iterator = source[Symbol.asyncIterator]()
  const first = iterator.next()
  const stream = next()
  await stream.open()
  let dispatched = 0
  source.addEventListener('message', () => dispatched++)
  for (let i = 0; i < 200; i++) await stream.write(`data: ${i}\n\n`)
  expect(dispatched).toBeLessThan(70)
  const items = [await first]
  for (let i = 1; i < 200; i++) {
    items.push(await iterator.next())
    await pass(0)
  }
  expect(items.map(({ value }) => value?.data)).toEqual(Array.from({ length: 200 }, (_, i) => i))
})

test('stops the reader while one of two loops is behind, although the other one is not', async () => {
  const { next, source } = await connectToFake()
  const slow = source[Symbol.asyncIterator]()
  void slow.next()
  const stream = next()
  const reading = (async () => {
    let count = 0
    for await (const { data } of source) if (data !== '') count++
    return count
  })()
  await stream.open()
  for (let i = 0; i < 200; i++) await stream.write(`data: ${i}\n\n`)
  source.close()
  expect(await reading).toBeLessThan(70)
})

test('fails a loop of a shared connection that is more than 10 000 events behind, after these events', async () => {
  vi.stubGlobal('navigator', {
    locks: { request: async (_name: string, _options: object, hold: () => unknown) => hold() },
  })
  vi.stubGlobal(
    'BroadcastChannel',
    class {
      postMessage() {}
      close() {}
    },
  )
  vi.stubGlobal('addEventListener', () => {})
  onTestFinished(() => void vi.unstubAllGlobals())
  const { next, passUntilRequest, source } = await connectToFake({ share: true })
  const iterator = source[Symbol.asyncIterator]()
  const first = iterator.next()
  await passUntilRequest()
  const stream = next()
  await stream.open()
  await stream.write('data: 0\n\n')
  await stream.write('data: more\n\n'.repeat(10_000))
  expect([(await first).value?.data, source.readyState]).toEqual([0, source.OPEN])
  await stream.write('data: too many\n\ndata: lost\n\n')
  expect([source.readyState, stream.isAborted]).toEqual([source.CLOSED, true])
  const items: unknown[] = []
  const reading = (async () => {
    for await (const { data } of { [Symbol.asyncIterator]: () => iterator }) items.push(data)
  })()
  await expect(reading).rejects.toMatchObject({ code: 'ERR_SSE_OVERFLOW', isFinal: true })
  expect([items.length, items.at(-1)]).toEqual([10_001, 'too many'])
})

test('removes its listener from the signal of the caller when it is closed', async () => {
  const { signal } = new AbortController()
  const closed = await connectToFake({ signal })
  closed.source.close()
  const ended = await connectToFake({ signal })
  await ended.next().answer('', 204)
  const failed = await connectToFake({ signal })
  await failed.next().answer('', 401)
  expect(getEventListeners(signal, 'abort')).toEqual([])
})

test('keeps the last event id for a reload of the page', async () => {
  const first = await connectToFake({ path: '/persisted', persist: true })
  const stream = first.next()
  await stream.open()
  await stream.write('id: 7\nevent: position\ndata: {}\n\n')
  first.source.close()
  const second = await connectToFake({ path: '/persisted', persist: true })
  expect(second.next().headers.get('last-event-id')).toBe('7')
  const other = await connectToFake({ path: '/persisted' })
  expect(other.next().headers.get('last-event-id')).toBe(null)
})

test('keeps the id of an event in whose listener the connection is closed', async () => {
  const first = await connectToFake({ path: '/closed-in-listener', persist: true })
  first.source.onmessage = ({ data }) => data === '2' && first.source.close()
  const stream = first.next()
  await stream.open()
  await stream.write('id: 1\ndata: 1\n\nid: 2\ndata: 2\n\nid: 3\ndata: 3\n\n')
  const second = await connectToFake({ path: '/closed-in-listener', persist: true })
  expect(second.next().headers.get('last-event-id')).toBe('2')
})

test('keeps the id of the last event before the server ends the connection', async () => {
  const first = await connectToFake({ path: '/ended', persist: true })
  const stream = first.next()
  await stream.open()
  await stream.write('id: 1\ndata: 1\n\n')
  await stream.end()
  await first.pass(1000)
  await first.next().answer('', 204)
  // A later session has stored a newer id, which `close` does not replace.
  const second = await connectToFake({ path: '/ended', persist: true })
  const next = second.next()
  expect(next.headers.get('last-event-id')).toBe('1')
  await next.open()
  await next.write('id: 2\ndata: 2\n\n')
  first.source.close()
  const third = await connectToFake({ path: '/ended', persist: true })
  expect(third.next().headers.get('last-event-id')).toBe('2')
})

test('keeps the stored id when it is closed before the code for shared connections is loaded', async () => {
  const first = await connectToFake({ path: '/early', persist: true, lastEventId: '5' })
  await first.next().open()
  first.source.close()
  connect('https://example.com/early', { persist: true, share: true }).close()
  const second = await connectToFake({ path: '/early', persist: true })
  expect(second.next().headers.get('last-event-id')).toBe('5')
})

test('keeps the id of an event in whose listener a shared connection is closed before it has caught up', async () => {
  const channels: { onmessage?: (message: object) => void }[] = []
  vi.stubGlobal('navigator', { locks: { request: async () => {} } })
  vi.stubGlobal(
    'BroadcastChannel',
    class {
      onmessage?: (message: object) => void
      constructor() {
        channels.push(this)
      }
      postMessage() {}
      close() {}
    },
  )
  vi.stubGlobal('addEventListener', () => {})
  onTestFinished(() => void vi.unstubAllGlobals())
  const first = await connectToFake({ path: '/shared', persist: true, share: true, lastEventId: '1' })
  await vi.dynamicImportSettled()
  const ids: string[] = []
  first.source.onmessage = () => {
    ids.push(first.source.lastEventId)
    if (ids.length === 2) first.source.close()
  }
  const entries = ['1', '2', '3', '4'].map((id) => ({
    at: Number(id),
    event: { event: 'message', id, data: id },
  }))
  channels[0]?.onmessage?.({ data: { term: 1, entries, after: 0.5, isWhole: true, cursor: '4' } })
  expect([ids, first.source.lastEventId]).toEqual([['2', '3'], '3'])
  const second = await connectToFake({ path: '/shared', persist: true })
  expect(second.next().headers.get('last-event-id')).toBe('3')
})

describe('with loops, the stored id', () => {
  /** Connects two sessions of a page one after the other, and returns the id after which the second one begins. */
  async function open(path: string, text: string) {
    const { source, next } = await connectToFake({ path, persist: true, lastEventId: '0' })
    const loop = source[Symbol.asyncIterator]()
    const first = loop.next()
    const stream = next()
    await stream.open()
    await stream.write(text)
    await first
    const stored = async () => {
      const session = await connectToFake({ path, persist: true })
      session.source.close()
      return session.next().headers.get('last-event-id')
    }
    return { source, stream, loop, stored }
  }

  const FIVE = [1, 2, 3, 4, 5].map((id) => `id: ${id}\ndata: ${id}\n\n`).join('')

  test('is that of the last event after which a loop has requested another one', async () => {
    const { source, loop, stream, stored } = await open('/loop', FIVE)
    expect(await stored()).toBe('0')
    await loop.next()
    await loop.next()
    expect(await stored()).toBe('2')
    await stream.write(': heartbeat\n')
    expect([await stored(), source.lastEventId]).toEqual(['2', '5'])
    for (let count = 0; count < 2; count++) await loop.next()
    void loop.next()
    expect(await stored()).toBe('5')
    await stream.write('id: 9\nevent: position\ndata: {}\n\n')
    expect(await stored()).toBe('9')
  })

  test('precedes the event at which a loop exits', async () => {
    const { source, loop, stored } = await open('/break', FIVE)
    for await (const { data } of { [Symbol.asyncIterator]: () => loop }) if (data === 3) break
    source.close()
    expect(await stored()).toBe('2')
  })

  test('advances while a loop reads the events before the end', async () => {
    const { source, loop, stored } = await open('/rest', FIVE)
    source.close()
    await loop.next()
    expect(await stored()).toBe('1')
    for await (const _item of { [Symbol.asyncIterator]: () => loop });
    expect(await stored()).toBe('5')
  })

  test('is that of the slower one of two loops, even if that one has exited', async () => {
    const { source, loop, stream, stored } = await open('/two', 'id: 1\ndata: 1\n\n')
    const slow = source[Symbol.asyncIterator]()
    const first = slow.next()
    await stream.write('id: 2\ndata: 2\n\nid: 3\ndata: 3\n\nid: 4\ndata: 4\n\n')
    await first
    for (let count = 0; count < 3; count++) await loop.next()
    expect(await stored()).toBe('1')
    await slow.next()
    expect(await stored()).toBe('2')
    await slow.return?.()
    for await (const _item of { [Symbol.asyncIterator]: () => loop });
    expect(await stored()).toBe('2')
  })
})
