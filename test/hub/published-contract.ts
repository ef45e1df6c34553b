import { describe, expect, it } from 'vitest'
import type { Filter } from '../../src/hub/filter.ts'
import type { Hub } from '../../src/hub/hub.ts'
import { listen, watch } from '../support/diagnostics.ts'
import { eventsOf } from '../support/hub.ts'
import { fakeStream, settled } from '../support/streams.ts'

const HIGH = '🦆'.slice(0, 1)
const LOW = '🦆'.slice(1)
const TRACEPARENT = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'

class Order {
  #state = 'paid'
  /** Reads a private field, as a getter of an application does. */
  get data() {
    return { state: this.#state, at: new Date(0) }
  }
}

class NamedOrder extends Order {
  get event() {
    return 'order'
  }
}

/** Tests what clients and filters get of the objects that are published, live and in a replay. */
export function publishedContract(name: string, open: () => Hub | Promise<Hub>): void {
  describe(`an event that is published on a hub with ${name}`, () => {
    it('has the values of the object at its publish, although the publisher changes and reuses the object', async () => {
      const { live, replayed } = await publishAndSee(
        ({ data }) => data.secret === false,
        (publish) => {
          const order = { data: { secret: false, n: 1 } }
          void publish(order)
          order.data.secret = true
          order.data.n = 2
          void publish(order)
          // Before the hub delivers any of them.
          order.data.secret = false
          order.data.n = 3
        },
      )

      expect(live).toEqual(['message {"secret":false,"n":1}'])
      expect(replayed).toEqual(live)
    })

    it('is filtered by the data at its publish, although the publisher changes the data after the await', async () => {
      const { live, replayed } = await publishAndSee(
        ({ data }) => data.secret === false,
        async (publish) => {
          const data = { secret: true }
          await publish({ data })
          data.secret = false
        },
      )

      expect([live, replayed]).toEqual([[], []])
    })

    it('has the trace context of its publish in the process that delivers it, and not for clients', async () => {
      const trace = { traceparent: TRACEPARENT, tracestate: 'vendor=1' }
      listen('spillway:publish:start', (message) => {
        message.trace = trace
      })
      const fanOuts = watch('spillway:channel:fan-out')
      const hub = await open()
      const { stream, transport } = fakeStream()
      hub.subscribe(stream, 'a')

      // Events before the subscription is live are replayed.
      await expect
        .poll(async () => {
          await hub.channel('a').publish({ data: 1 })
          return fanOuts.length
        })
        .toBeGreaterThan(0)

      expect(fanOuts[0]?.entries[0]?.trace).toEqual(trace)
      expect(transport.all.join('')).not.toContain(TRACEPARENT)
    })

    it('reaches filters as JSON, with toJSON, getters and a Date that is a string', async () => {
      let reads = 0
      const values = {
        at: new Date(0),
        money: { toJSON: () => '1 EUR' },
        get read() {
          reads += 1
          return reads
        },
        missing: undefined,
        list: [undefined, new Map([[1, 2]])],
      }
      const { live, replayed, seen } = await publishAndSee(
        () => true,
        (publish) => void publish({ data: values }),
      )

      const data = { at: '1970-01-01T00:00:00.000Z', money: '1 EUR', read: 1, list: [null, {}] }
      expect(seen).toEqual([{ data }, { data }])
      expect(live).toEqual([`message ${JSON.stringify(data)}`])
      expect(replayed).toEqual(live)
      expect(reads).toBe(1)
    })

    it.each<[string, () => object]>([
      ['an instance whose getters are inherited', () => new NamedOrder()],
      [
        'a proxy',
        () => new Proxy({}, { get: (_, key) => ({ event: 'order', data: new Order().data })[key as 'data'] }),
      ],
      [
        'an object whose prototype has the fields',
        () => Object.create({ event: 'order', data: new Order().data }),
      ],
      [
        'an object with getters that are not enumerable',
        () =>
          Object.defineProperties(
            {},
            { event: { get: () => 'order' }, data: { get: () => new Order().data } },
          ),
      ],
    ])('keeps the fields of %s', async (_name, create) => {
      const { live, replayed, seen } = await publishAndSee(
        () => true,
        (publish) => void publish(create()),
      )

      const data = { state: 'paid', at: '1970-01-01T00:00:00.000Z' }
      expect(live).toEqual([`order ${JSON.stringify(data)}`])
      expect(replayed).toEqual(live)
      expect(seen).toEqual([
        { event: 'order', data },
        { event: 'order', data },
      ])
    })

    it('reaches filters as text if it is text, even if that is JSON', async () => {
      const { live, seen } = await publishAndSee(
        () => true,
        (publish) => void publish({ data: '{"secret":true}' }),
      )

      expect(seen).toEqual([{ data: '{"secret":true}' }, { data: '{"secret":true}' }])
      expect(live).toEqual(['message {"secret":true}'])
    })

    it('has U+FFFD in place of each half of a surrogate pair in a text and in a name (rule 9)', async () => {
      const { live, replayed } = await publishAndSee(
        () => true,
        (publish) => {
          void publish({ event: `e${HIGH}`, data: `a${HIGH}` })
          void publish({ data: `${LOW}b${HIGH}${LOW}` })
          void publish({ data: { half: LOW } })
        },
      )

      expect(live).toEqual(['e\ufffd a\ufffd', 'message \ufffdb🦆', 'message {"half":"\\udd86"}'])
      expect(replayed).toEqual(live)
    })
  })

  /** Publishes events, and returns what a live and a resumed client with a filter got, and what the filters saw. */
  async function publishAndSee(
    filter: Filter,
    work: (publish: (event: object) => Promise<string>) => unknown,
  ): Promise<{ live: string[]; replayed: string[]; seen: unknown[] }> {
    const hub = await open()
    const channel = hub.channel('a')
    const start = await channel.publish({ data: 'start' })
    const seen: unknown[] = []
    const recording: Filter = ({ id: _, ...event }, name) => {
      if (event.data === 'start') return false
      if (event.data === 'end') return true
      seen.push(event)
      return filter(event, name)
    }
    const clients = [fakeStream(), fakeStream({}, start)] as const
    const eventsBeforeEnd = async ({ transport }: ReturnType<typeof fakeStream>) => {
      await expect.poll(() => eventsOf(transport).at(-1)).toBe('message end')
      return eventsOf(transport).slice(0, -1)
    }
    hub.subscribe(clients[0].stream, 'a', { filter: recording })
    await settled()

    await work((event) => channel.publish(event as never))
    await channel.publish({ data: 'end' })
    const live = await eventsBeforeEnd(clients[0])
    hub.subscribe(clients[1].stream, 'a', { filter: recording })
    return { live, replayed: await eventsBeforeEnd(clients[1]), seen }
  }
}
