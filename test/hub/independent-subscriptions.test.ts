import { describe, expect, it, vi } from 'vitest'
import type { Filter } from '../../src/hub/filter.ts'
import { Hub } from '../../src/hub/hub.ts'
import { eventsOf, GAP, messages } from '../support/hub.ts'
import { HubClient } from '../support/hub-client.ts'
import { STORES } from '../support/stores.ts'
import { fakeStream, settled } from '../support/streams.ts'

const isEven: Filter = ({ data }) => Number(data) % 2 === 0
const isThird: Filter = ({ data }) => Number(data) % 3 === 0

async function publish(hub: Hub, from: number, to: number): Promise<string[]> {
  const ids = []
  for (let n = from; n < to; n++) ids.push(await hub.channel('a').publish({ data: String(n) }))
  await settled()
  return ids
}

describe('two subscriptions of a stream to one channel', () => {
  it.each<[string, Array<Filter | undefined>, unknown[]]>([
    ['without filters', [undefined, undefined], [0, 1, 2, 3, 4, 5]],
    ['with a filter on the first', [isEven, undefined], [0, 1, 2, 3, 4, 5]],
    ['with a filter on the second', [undefined, isEven], [0, 1, 2, 3, 4, 5]],
    ['with different filters', [isEven, isThird], [0, 2, 3, 4]],
    ['with three filters', [isEven, isThird, ({ data }) => data === '5'], [0, 2, 3, 4, 5]],
    ['with the same filter', [isEven, isEven], [0, 2, 4]],
  ])('deliver an event once if one of them passes it, %s', async (_name, filters, expected) => {
    const hub = new Hub()
    const [start] = await publish(hub, 0, 3)
    const { stream, transport } = fakeStream()
    const resumed = fakeStream({}, start)
    for (const filter of filters) {
      hub.subscribe(stream, 'a', { filter })
      hub.subscribe(resumed.stream, ['a', 'a'], { filter })
    }
    await settled()

    await publish(hub, 0, 6)

    expect(eventsOf(transport)).toEqual(messages(...expected))
    // The replay of 1 and 2 comes before.
    const replay = [1, 2].filter((n) => filters.some((f) => !f || f({ data: String(n) }, 'a')))
    expect(eventsOf(resumed.transport)).toEqual(messages(...replay, ...expected))
    expect(hub.size).toBe(2)
  })

  it.each([
    ['first', 0, [0, 3]],
    ['second', 1, [0, 2]],
  ])('are independent when the %s one ends, live and in the replay', async (_name, ended, expected) => {
    const hub = new Hub()
    const client = new HubClient(hub, [])
    client.connect()
    const subscribeBoth = () =>
      [isEven, isThird].map((filter) => hub.subscribe(client.stream as never, 'a', { filter }))
    const ends = subscribeBoth()
    await settled()
    await publish(hub, 0, 1)

    // A function that is called twice must not end the other one.
    for (let i = 0; i < 3; i++) ends[ended]?.()
    await publish(hub, 1, 4)
    client.cut()
    await publish(hub, 0, 4)
    client.connect()
    subscribeBoth()[ended]?.()
    await settled()
    client.cut()

    expect(client.data).toEqual([...expected, ...expected].map(String))
  })

  it('end the channel when both have ended, in any order', async () => {
    const hub = new Hub()
    const { stream, transport } = fakeStream()
    const end = hub.subscribe(stream, ['a', 'b'])
    const endAgain = hub.subscribe(stream, 'a')
    await settled()

    end()
    expect(hub.size).toBe(1)
    await publish(hub, 0, 1)
    await hub.channel('b').publish({ data: 'b' })
    endAgain()
    expect(hub.size).toBe(0)
    await publish(hub, 1, 2)

    expect(eventsOf(transport)).toEqual(messages(0))
  })

  it('are independent although both calls pass one object of options', async () => {
    const hub = new Hub()
    const options = { filter: isEven }
    const { stream, transport } = fakeStream()
    const end = hub.subscribe(stream, 'a', options)
    hub.subscribe(stream, 'a', options)
    await settled()

    end()
    end()
    await publish(hub, 0, 3)

    expect(eventsOf(transport)).toEqual(messages(0, 2))
  })

  it('end together if one call names the channel twice', async () => {
    const hub = new Hub()
    const { stream, transport } = fakeStream()
    const end = hub.subscribe(stream, ['a', 'a', 'b', 'a'])
    await settled()

    await publish(hub, 0, 1)
    end()
    expect(hub.size).toBe(0)
    await publish(hub, 1, 2)

    expect(eventsOf(transport)).toEqual(messages(0))
  })

  it('each report a gap by their own onGap', async () => {
    const hub = new Hub()
    const { stream, transport } = fakeStream({}, 'unknown')
    const hooks = ['one', 'two'].map((data) => vi.fn(() => [{ event: 'snapshot', data }]))
    for (const onGap of hooks) hub.subscribe(stream, 'a', { onGap })
    await settled()

    for (const hook of hooks) expect(hook).toHaveBeenCalledOnce()
    expect(eventsOf(transport)).toEqual(['snapshot one', 'snapshot two'])
  })

  it('report no gap by the onGap of one that has ended', async () => {
    const hub = new Hub()
    const { stream, transport } = fakeStream({}, 'unknown')
    const [kept, ended] = [vi.fn(() => [{ event: 'snapshot', data: 'kept' }]), vi.fn()]
    hub.subscribe(stream, 'a', { onGap: kept })
    hub.subscribe(stream, 'a', { onGap: ended })()
    await settled()

    expect(ended).not.toHaveBeenCalled()
    expect(eventsOf(transport)).toEqual(['snapshot kept'])
  })

  it('do not deliver to the second one what was published before it in the same turn', async () => {
    const hub = new Hub()
    const { stream, transport } = fakeStream()
    hub.subscribe(stream, 'a', { filter: isEven })
    await settled()

    void hub.channel('a').publish({ data: '1' })
    hub.subscribe(stream, 'a')
    void hub.channel('a').publish({ data: '3' })
    await settled()

    expect(eventsOf(transport)).toEqual(messages(3))
  })

  it.each(STORES)(
    'report the failure of a filter of one, and deliver by the other, on a %s store',
    async (_name, open) => {
      const hub = new Hub({ store: open() })
      const errors: unknown[] = []
      hub.on('error', (error) => errors.push(error))
      const { stream, transport } = fakeStream()
      const failure = new Error('filter')
      const throwing: Filter = () => {
        throw failure
      }
      hub.subscribe(stream, 'a', { filter: throwing })
      hub.subscribe(stream, 'a', { filter: isEven })
      await settled()

      await publish(hub, 0, 2)

      expect(eventsOf(transport)).toEqual(messages(0))
      expect(errors).toEqual([failure, failure])
    },
  )
})

describe('two subscriptions that start at different events', () => {
  it.each([
    [
      [{ from: { last: 1 } }, { from: 'start' }],
      [0, 1, 2],
    ],
    [
      [{ from: 'start' }, { from: { last: 1 } }],
      [0, 1, 2],
    ],
    [
      [{ from: 'start' }, {}],
      [0, 1, 2],
    ],
    [[{}, { from: { last: 1 } }], [2]],
  ] as const)('start at the earlier one: %j', async (options, expected) => {
    const hub = new Hub()
    await publish(hub, 0, 3)
    const { stream, transport } = fakeStream()

    for (const each of options) hub.subscribe(stream, 'a', each)
    await settled()

    expect(eventsOf(transport)).toEqual(messages(...expected))
  })
})

describe('a filter, during a fan-out,', () => {
  it('ends the other subscription, whose events of the same turn are hidden', async () => {
    const hub = new Hub()
    const { stream, transport } = fakeStream()
    let endOther = () => {}
    hub.subscribe(stream, 'a', {
      filter: ({ data }) => {
        if (data === '1') endOther()
        return data === '1'
      },
    })
    endOther = hub.subscribe(stream, 'a', { filter: isEven })
    await settled()

    for (const data of ['0', '1', '2']) void hub.channel('a').publish({ data })
    await settled()

    expect(eventsOf(transport)).toEqual(messages(0, 1))
    expect(hub.size).toBe(1)
  })

  it('ends its own subscription, and the other one stays', async () => {
    const hub = new Hub()
    const { stream, transport } = fakeStream()
    const end = hub.subscribe(stream, 'a', {
      filter: () => {
        end()
        return true
      },
    })
    hub.subscribe(stream, 'a', { filter: isEven })
    await settled()

    for (const data of ['1', '2', '3', '4']) void hub.channel('a').publish({ data })
    await settled()

    expect(eventsOf(transport)).toEqual(messages(1, 2, 4))
    expect(hub.size).toBe(1)
  })

  it('adds another subscription, which passes the events published next', async () => {
    const hub = new Hub()
    const { stream, transport } = fakeStream()
    hub.subscribe(stream, 'a', {
      filter: ({ data }) => {
        if (data === '0') hub.subscribe(stream, 'a', { filter: isThird })
        return isEven({ data }, 'a')
      },
    })
    await settled()

    await publish(hub, 0, 4)

    expect(eventsOf(transport)).toEqual(messages(0, 2, 3))
  })
})

describe('a later subscription of a resumed stream to its channel', () => {
  async function resumedStream(filter?: Filter) {
    const hub = new Hub()
    const [start] = await publish(hub, 0, 3)
    const { stream, transport } = fakeStream({}, start)
    const end = hub.subscribe(stream, 'a', { filter })
    await settled()
    return { hub, stream, transport, end }
  }

  it('reports a gap, because the filter of the first one hid missed events', async () => {
    const { hub, stream, transport } = await resumedStream(isEven)

    hub.subscribe(stream, 'a')
    await settled()
    await publish(hub, 3, 5)

    expect(eventsOf(transport)).toEqual([...messages(2), GAP, ...messages(3, 4)])
  })

  it.each<[string, Filter | undefined, Filter | undefined]>([
    ['has the same filter', isEven, isEven],
    ['shows fewer events', undefined, isEven],
    ['shows the same events', undefined, undefined],
  ])('reports no gap if it %s', async (_name, first, second) => {
    const { hub, stream, transport } = await resumedStream(first)

    hub.subscribe(stream, 'a', { filter: second })
    await settled()
    await publish(hub, 4, 5)

    expect(eventsOf(transport)).toEqual(messages(...(first ? [2, 4] : [1, 2, 4])))
  })
})
