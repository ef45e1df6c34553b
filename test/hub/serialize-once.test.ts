import { afterEach, describe, expect, it, vi } from 'vitest'
import { Frame } from '../../src/event/frame.ts'
import type { Serialize } from '../../src/formats/event-fields.ts'
import type { PublishedEvent } from '../../src/hub/channel.ts'
import { Hub } from '../../src/hub/hub.ts'
import type { EventStore } from '../../src/stores/event-store.ts'
import { STORES } from '../support/stores.ts'
import { fakeStream, settled } from '../support/streams.ts'

afterEach(() => void vi.restoreAllMocks())

async function openHub(store: EventStore, serialize?: Serialize): Promise<Hub> {
  const hub = new Hub({ store, serialize })
  await store.ready
  return hub
}

/** Counts what the hub and its store do while `work` runs. */
async function countWhile(work: () => Promise<unknown>) {
  const encodes = vi.spyOn(Frame, 'of')
  const parses = vi.spyOn(JSON, 'parse')
  await work()
  await settled()
  return { encodes: encodes.mock.calls.length, parses: parses.mock.calls.length }
}

describe.each(STORES)('a hub on a %s store', (name, open) => {
  const parsesPerRecord = name === 'broker' ? 1 : 0

  it('encodes nothing and parses no data while nobody subscribes', async () => {
    const hub = await openHub(open())
    const count = await countWhile(async () => {
      for (let i = 0; i < 10; i++) await hub.channel('a').publish({ data: { i } })
    })
    expect(count).toEqual({ encodes: 0, parses: 10 * parsesPerRecord })
  })

  it('encodes only events of channels with a subscriber, once for all of them', async () => {
    const hub = await openHub(open())
    for (let i = 0; i < 3; i++) hub.subscribe(fakeStream().stream, ['a'])
    await settled()
    const count = await countWhile(async () => {
      for (const channel of ['a', 'b', 'a', 'c']) await hub.channel(channel).publish({ data: { i: 1 } })
    })
    expect(count).toEqual({ encodes: 2, parses: 4 * parsesPerRecord })
  })

  it('parses data once for all filters', async () => {
    const hub = await openHub(open())
    const filter = vi.fn(() => true)
    for (let i = 0; i < 3; i++) hub.subscribe(fakeStream().stream, ['a'], { filter })
    await settled()
    const { parses } = await countWhile(() => hub.channel('a').publish({ data: { i: 1 } }))
    expect(parses).toBe(1 + parsesPerRecord)
    expect(filter).toHaveBeenCalledTimes(3)
    expect(filter).toHaveBeenLastCalledWith({ id: expect.any(String), data: { i: 1 } }, 'a')
  })

  it('calls the serializer once for each event', async () => {
    const serialize = vi.fn(JSON.stringify)
    const hub = await openHub(open(), serialize)
    hub.subscribe(fakeStream().stream, ['a'], { filter: () => true })
    await settled()
    await hub.channel('a').publish({ data: { i: 1 } })
    await settled()
    expect(serialize).toHaveBeenCalledOnce()
  })

  it('shows a filter the text of a serializer whose output is not JSON', async () => {
    const hub = await openHub(open(), (data) => `<${data}>`)
    const filter = vi.fn(() => true)
    const { stream, transport } = fakeStream()
    hub.subscribe(stream, ['a'], { filter })
    await settled()
    const id = await hub.channel('a').publish({ event: 'n', data: 7 })
    await settled()
    expect(filter).toHaveBeenCalledWith({ event: 'n', id, data: '<7>' }, 'a')
    expect(transport.writes.join('')).toContain(`id: ${id}\nevent: n\ndata: <7>\n\n`)
  })

  it.each([
    [{ data: 1n }, 'ERR_SSE_DATA'],
    [{ event: '\n', data: 1 }, 'ERR_SSE_EVENT_NAME'],
    [{ retry: -1, data: 1 }, 'ERR_SSE_RETRY'],
  ])('rejects %o before it reaches the store', async (event, code) => {
    const store = open()
    const append = vi.spyOn(store, 'append')
    const channel = (await openHub(store)).channel('a')
    const once = { idempotencyKey: 'k' }
    await expect(channel.publish(event, once)).rejects.toMatchObject({ code })
    expect(append).not.toHaveBeenCalled()
    await expect(channel.publish({ data: 2 }, once)).resolves.toEqual(expect.any(String))
  })

  it('publishes the fields that it checked, although a getter or toJSON changes the event afterwards', async () => {
    const hub = await openHub(open())
    const { stream, transport } = fakeStream()
    hub.subscribe(stream, ['a'])
    await settled()
    const names = ['first', 'a\ndata: forged']
    const toJSON = () => {
      changing.retry = -1
      changing.key = '\n'
      return 'data'
    }
    const changing: PublishedEvent = {
      get event() {
        return names.shift()
      },
      data: { toJSON },
      retry: 7,
      key: 'k',
    }
    const id = await hub.channel('a').publish(changing)
    await settled()
    expect(transport.writes.join('')).toContain(`retry: 7\nid: ${id}\nevent: first\ndata: "data"\n\n`)
  })

  it('appends an event that a serializer publishes first', async () => {
    const hub: Hub = await openHub(open())
    let nested: Promise<string> | undefined
    const { stream, transport } = fakeStream()
    hub.subscribe(stream, ['a'])
    await settled()
    const toJSON = () => {
      nested = hub.channel('a').publish({ data: 'nested' })
      return 'outer'
    }
    const id = await hub.channel('a').publish({ data: { toJSON } })
    await settled()
    const blocks = transport.writes.join('').split('\n\n')
    expect(blocks[0]).toContain(`id: ${await nested}\ndata: nested`)
    expect(blocks[1]).toBe(`id: ${id}\ndata: "outer"`)
  })
})
