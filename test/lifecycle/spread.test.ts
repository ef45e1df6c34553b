import { beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest'
import { Hub } from '../../src/hub/hub.ts'
import { Spread } from '../../src/lifecycle/spread.ts'
import { fakeStream, nextTurn, settled } from '../support/streams.ts'

const numbers = (count: number) => Array.from({ length: count }, (_, i) => i)

describe('Spread', () => {
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] })
    return () => void vi.useRealTimers()
  })

  it('visits the items in order and evenly over the time', () => {
    const visited: number[] = []
    new Spread(numbers(100), 1_000, (item) => visited.push(item))
    const counts = numbers(10).map(() => {
      vi.advanceTimersByTime(100)
      return visited.length
    })
    for (const [i, count] of counts.entries()) expect(Math.abs(count - 10 * (i + 1))).toBeLessThanOrEqual(2)
    expect(visited).toEqual(numbers(100))
  })

  it('visits the first item at once', () => {
    const visited: number[] = []
    new Spread(numbers(2), 1_000, (item) => visited.push(item))
    expect(visited).toEqual([0])
  })

  it('passes shares that are spread over 0 to 1, also for a single item', () => {
    const shares: number[] = []
    new Spread(numbers(4), 0, (_, share) => shares.push(4 * share))
    expect(shares.map(Math.floor)).toEqual([0, 1, 2, 3])
    vi.spyOn(Math, 'random').mockReturnValueOnce(0.75)
    onTestFinished(() => void vi.restoreAllMocks())
    new Spread([0], 0, (_, share) => expect(share).toBe(0.75))
  })

  it('lets the event loop turn after a slice', async () => {
    const visited: number[] = []
    const spread = new Spread(numbers(100), 0, (item) => {
      vi.advanceTimersByTime(1)
      visited.push(item)
    })
    const counts = [visited.length]
    while (visited.length < 100) {
      await nextTurn()
      counts.push(visited.length - counts.reduce((sum, count) => sum + count))
    }
    await spread.done
    expect(Math.max(...counts)).toBeLessThanOrEqual(16)
  })

  it('visits no further item after it was stopped, and is then done', async () => {
    const visited: number[] = []
    const spread = new Spread(numbers(10), 1_000, (item) => visited.push(item))
    spread.stop()
    await spread.done
    vi.advanceTimersByTime(2_000)
    expect(visited).toEqual([0])
    expect(vi.getTimerCount()).toBe(0)
  })

  it('is done at once without items', async () => {
    await new Spread([], 1_000, () => {}).done
  })
})

describe('Hub.shutdown with `spread`', () => {
  const opened = (hub: Hub, count: number) =>
    numbers(count).map(() => {
      const opened = fakeStream()
      hub.subscribe(opened.stream, 'a')
      return opened
    })

  it('closes the streams one after the other, and delivers events until then', async () => {
    const hub = new Hub()
    const clients = opened(hub, 3)
    await settled()
    const down = hub.shutdown({ spread: 300, retry: 0 })
    expect(clients.map(({ stream }) => stream.closed)).toEqual([true, false, false])
    await hub.channel('a').publish({ data: 'late' })
    await settled()
    for (const { transport } of clients) {
      await vi.waitFor(() => expect(transport.isEnded).toBe(true))
      transport.lose()
    }
    await down
    expect(clients.map(({ transport }) => transport.writes.join('').includes('late'))).toEqual([
      false,
      true,
      true,
    ])
    await expect(hub.channel('a').publish({ data: 1 })).rejects.toMatchObject({ code: 'ERR_SSE_SHUT_DOWN' })
  })

  it('spreads the reconnection times evenly in the order of the closes', async () => {
    const hub = new Hub()
    const clients = opened(hub, 4)
    await settled()
    void hub.shutdown({ retry: 4_000 })
    const retries = clients.map(({ transport }) =>
      Number(/retry: (\d+)\n$/.exec(transport.writes.join(''))?.[1]),
    )
    expect(retries.map((retry) => Math.floor(retry / 1_000))).toEqual([4, 5, 6, 7])
  })

  it('refuses a stream that is subscribed meanwhile', async () => {
    const hub = new Hub()
    opened(hub, 2)
    await settled()
    void hub.shutdown({ spread: 60_000 })
    const { stream } = fakeStream()
    hub.subscribe(stream, 'a')
    expect(stream.closed).toBe(true)
    void hub.shutdown({ grace: 0 })
  })

  it('closes the rest at once when it is called again without `spread`', async () => {
    const hub = new Hub()
    const clients = opened(hub, 3)
    await settled()
    const down = hub.shutdown({ spread: 60_000 })
    const again = hub.shutdown()
    expect(clients.map(({ stream }) => stream.closed)).toEqual([true, true, true])
    for (const { transport } of clients) transport.lose()
    await Promise.all([down, again])
  })

  it('destroys open streams at once when it is called again with a grace of 0', async () => {
    const hub = new Hub()
    const clients = opened(hub, 2)
    await settled()
    for (const { stream, transport } of clients) {
      transport.isFull = true
      stream.send({ data: 1 })
    }
    await settled()
    const down = hub.shutdown({ spread: 60_000, grace: 60_000 })
    await Promise.all([down, hub.shutdown({ grace: 0 })])
    expect(clients.map(({ transport }) => transport.isDestroyed)).toEqual([true, true])
  })
})
