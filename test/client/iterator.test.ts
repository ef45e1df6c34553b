import { getEventListeners } from 'node:events'
import { expect, onTestFinished, test, vi } from 'vitest'
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

test('closes the connection when the loop is left', async () => {
  const { next, source } = await connectToFake()
  const reading = (async () => {
    for await (const { data } of source) return data
  })()
  const stream = next()
  await stream.open()
  await stream.write('data: 1\n\ndata: 2\n\n')
  expect([await reading, source.readyState, stream.isAborted]).toEqual([1, source.CLOSED, true])
})

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
