import { describe, expect, it } from 'vitest'
import { Hub } from '../../src/hub/hub.ts'
import { subscribed } from '../support/hub.ts'
import { closed, fakeStream, settled } from '../support/streams.ts'

describe('maxStreams of a hub', () => {
  it('closes a further stream with a time to reconnect, and no open one', async () => {
    const hub = new Hub({ maxStreams: 2 })
    const open = [await subscribed(hub, ['a']), await subscribed(hub, ['a', 'b'])]
    const { stream, transport } = fakeStream()
    const end = closed(stream)
    hub.subscribe(stream, 'a')()
    expect(await end).toMatchObject({ reason: 'capacity' })
    const retry = Number(/retry: (\d+)\n*$/.exec(transport.writes.join(''))?.[1])
    expect(retry).toBeGreaterThanOrEqual(10_000)
    expect(retry).toBeLessThanOrEqual(20_000)
    expect(open.map(({ stream }) => stream.closed)).toEqual([false, false])
    expect(hub.size).toBe(2)
  })

  it('admits a stream once another one is closed', async () => {
    const hub = new Hub({ maxStreams: 1 })
    const first = await subscribed(hub, ['a'])
    first.stream.destroy()
    await settled()
    const { stream } = await subscribed(hub, ['a'])
    expect(stream.closed).toBe(false)
  })

  it('admits further channels of a stream, and one that was unsubscribed meanwhile', async () => {
    const hub = new Hub({ maxStreams: 1 })
    const { stream, unsubscribe } = await subscribed(hub, ['a'])
    hub.subscribe(stream, 'b')()
    unsubscribe()
    await subscribed(hub, ['a'])
    hub.subscribe(stream, 'a')
    expect(stream.closed).toBe(false)
    expect(hub.size).toBe(2)
  })

  it.each([0, -1, 1.5, '1', null])('is not %j', (maxStreams) => {
    expect(() => new Hub({ maxStreams: maxStreams as never })).toThrow(
      expect.objectContaining({ code: 'ERR_SSE_OPTION' }),
    )
  })
})
