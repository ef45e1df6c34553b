import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { SseError } from '../../src/errors.ts'
import { Hub } from '../../src/hub/hub.ts'
import type { SubscribeOptions } from '../../src/hub/subscribe-options.ts'
import { MemoryStore } from '../../src/stores/memory/memory-store.ts'
import { publishNumbers } from '../support/hub.ts'
import { closed, fakeStream, settled } from '../support/streams.ts'

const overload = new SseError('ERR_SSE_OVERLOAD', 'Too many reads are waiting.')

/** A hub whose store rejects each read of a client that resumes, from a number on. */
async function overloadedHub({ reads = 0 } = {}) {
  const store = new MemoryStore()
  const hub = new Hub({ store })
  const start = await publishNumbers(hub, 50, { size: 1_000 })
  const read = store.read.bind(store)
  let count = 0
  vi.spyOn(store, 'read').mockImplementation((...args) => {
    if (count++ < reads) return read(...args)
    throw overload
  })
  return { hub, start }
}

describe('a client whose store is overloaded', () => {
  it.each<[string, SubscribeOptions, (start: string) => string | undefined]>([
    ['resumes', {}, (start) => start],
    ['starts at an id', { from: 'x-1' }, () => undefined],
  ])('is closed with a jittered reconnection time when it %s', async (_how, options, idOf) => {
    onTestFinished(() => void vi.restoreAllMocks())
    const { hub, start } = await overloadedHub()
    for (const [random, retry] of [
      [0, 5_000],
      [0.5, 7_500],
    ] as const) {
      vi.spyOn(Math, 'random').mockReturnValue(random)
      const { stream, transport } = fakeStream({}, idOf(start))
      const end = closed(stream)
      hub.subscribe(stream, 'a', options)
      await settled()

      expect(transport.all.join('')).toBe(`retry: ${retry}\n`)
      expect(transport).toMatchObject({ isEnded: true, isDestroyed: false })
      transport.lose()
      expect(await end).toEqual({ reason: 'replay', error: overload })
    }
    expect(hub.size).toBe(0)
  })

  it('receives the events that were read before, and no position', async () => {
    const { hub, start } = await overloadedHub({ reads: 1 })
    const { stream, transport } = fakeStream({}, start)

    hub.subscribe(stream, 'a')
    await settled()

    expect(stream.closeReason).toBe('replay')
    expect(transport.all.join('')).toMatch(/^id: [\s\S]*\n\nretry: \d+\n$/)
    expect(transport.all.join('')).not.toContain('event: position')
    expect(transport.isEnded).toBe(true)
  })

  it('keeps the reconnection time of a program that has closed it', async () => {
    const { hub, start } = await overloadedHub()
    const { stream, transport } = fakeStream({}, start)

    hub.subscribe(stream, 'a')
    stream.close({ retry: 60_000 })
    await settled()

    expect(stream.closeReason).toBe('server')
    expect(transport.all.join('')).toBe('retry: 60000\n')
    expect(transport.isEnded).toBe(true)
  })
})
