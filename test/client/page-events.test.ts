import { describe, expect, onTestFinished, test, vi } from 'vitest'
import { connectToFake } from '../support/client-connection.ts'

/** Adds the objects of a page to the globals for a test. */
function addPage() {
  const page = new EventTarget()
  const document = Object.assign(new EventTarget(), { baseURI: 'https://example.com/' })
  const connection = new EventTarget()
  vi.stubGlobal('addEventListener', page.addEventListener.bind(page))
  vi.stubGlobal('document', document)
  vi.stubGlobal('navigator', { connection })
  onTestFinished(() => void vi.unstubAllGlobals())
  const emit = (target: EventTarget, type: string) => {
    // The window captures the events of its document.
    if (target === document) page.dispatchEvent(new Event(type))
    target.dispatchEvent(new Event(type))
  }
  return { page, document, connection, emit }
}

const polled = { events: [{ event: 'message', id: '1', data: 'a' }], lastEventId: '1', retry: 0 }

describe('a client that polls', () => {
  test.each(['online', 'change'])('tries the stream at once on %s', async (type) => {
    const { page, connection, emit } = addPage()
    const { pass, next, news } = await connectToFake()
    await pass(1500)
    next()
    await next().answer(polled)
    const poll = next()
    emit(type === 'online' ? page : connection, type)
    await pass(0)
    await next().open()
    expect(poll.isAborted).toBe(true)
    expect(news().at(-1)).toBe('event-stream online')
  })

  test('sends no probe of a POST without an id on online', async () => {
    const { page, emit } = addPage()
    const first = await connectToFake({ path: '/online', method: 'POST', lastEventId: '0' })
    await first.pass(1500)
    first.next()
    await first.next().answer(polled)
    first.source.close()
    const { pass, next, requests } = await connectToFake({ path: '/online', method: 'POST' })
    expect(next().isPoll).toBe(true)
    emit(page, 'online')
    await pass(50_000)
    expect(requests).toEqual([])
  })

  test('has one probe at a time', async () => {
    const { page, emit } = addPage()
    const { pass, next, requests } = await connectToFake()
    await pass(1500)
    next()
    await next().answer(polled)
    next()
    for (let i = 0; i < 5; i++) emit(page, 'online')
    await pass(0)
    expect(requests).toHaveLength(1)
  })
})

test('a client that waits for another attempt connects at once on online', async () => {
  const { page, emit } = addPage()
  const { pass, passUntilRequest, next, requests } = await connectToFake()
  for (let failures = 0; failures < 4; failures++) {
    await passUntilRequest()
    await next().cut()
  }
  await pass(1)
  expect(requests).toEqual([])
  emit(page, 'online')
  await pass(0)
  next()
  expect(vi.getTimerCount()).toBe(1)
})

test.each(['visibilitychange', 'pageshow', 'online'])(
  'a stream that was cut while the page was hidden is replaced sooner on %s',
  async (type) => {
    const { page, document, emit } = addPage()
    const { pass, next } = await connectToFake()
    const stream = next()
    await stream.open()
    await pass(1000)
    vi.setSystemTime(Date.now() + 600_000)
    emit(type === 'pageshow' || type === 'online' ? page : document, type)
    await pass(2000)
    expect(stream.isAborted).toBe(false)
    // The next check after the first one decides, so that waiting data is read in between.
    await pass(750)
    expect(stream.isAborted).toBe(true)
  },
)

test('a stream whose data waited while the page was hidden is kept', async () => {
  const { page, document, emit } = addPage()
  const { pass, next } = await connectToFake()
  const stream = next()
  await stream.open()
  vi.setSystemTime(Date.now() + 600_000)
  emit(document, 'visibilitychange')
  emit(page, 'pageshow')
  await stream.write(':\n'.repeat(40))
  await pass(30_000)
  expect(stream.isAborted).toBe(false)
})

describe('a page that resumes after it was frozen', () => {
  test('replaces the stream, whose body may be read no more', async () => {
    const { document, emit } = addPage()
    const { pass, next } = await connectToFake()
    const stream = next()
    await stream.open()
    emit(document, 'resume')
    await pass(0)
    expect(stream.isAborted).toBe(true)
    await next().open()
  })

  test('replaces the poll, from the same cursor', async () => {
    const { document, emit } = addPage()
    const { pass, next } = await connectToFake()
    await pass(1500)
    next()
    await next().answer(polled)
    const poll = next()
    emit(document, 'resume')
    await pass(0)
    expect(poll.isAborted).toBe(true)
    expect(next().url.searchParams.get('lastEventId')).toBe(poll.url.searchParams.get('lastEventId'))
  })

  test('does not repeat a POST', async () => {
    const { document, emit } = addPage()
    const { pass, next, requests } = await connectToFake({ method: 'POST' })
    const stream = next()
    await stream.open()
    emit(document, 'resume')
    await pass(0)
    expect(stream.isAborted).toBe(false)
    expect(requests).toEqual([])
  })
})

test('a connection that is closed has no listeners', async () => {
  const { page, connection } = addPage()
  const counts = [page, connection].map((target) => {
    let count = 0
    const { addEventListener } = target
    vi.spyOn(target, 'addEventListener').mockImplementation((name, listener, options) => {
      count++
      ;(options as { signal?: AbortSignal }).signal?.addEventListener('abort', () => count--)
      addEventListener.call(target, name, listener, options)
    })
    return () => count
  })
  vi.stubGlobal('addEventListener', page.addEventListener.bind(page))
  const { next, source } = await connectToFake()
  await next().open()
  expect(counts.every((count) => count() > 0)).toBe(true)
  source.close()
  expect(counts.map((count) => count())).toEqual([0, 0])
  expect(vi.getTimerCount()).toBe(0)
})
