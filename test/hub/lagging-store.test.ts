import { describe, expect, it } from 'vitest'
import { Hub } from '../../src/hub/hub.ts'
import type { SubscribeOptions } from '../../src/hub/subscribe-options.ts'
import type { EventStore, Page, StoreListener, StoreReader } from '../../src/stores/event-store.ts'
import type { LogEntry, Publication } from '../../src/stores/log-entry.ts'
import { MemoryStore } from '../../src/stores/memory/memory-store.ts'
import { HubClient } from '../support/hub-client.ts'
import { settled } from '../support/streams.ts'

/** A store of a process that receives entries later than another one. A read after a later position waits for it. */
class LaggingStore implements EventStore {
  position: string
  readonly #store = new MemoryStore()
  readonly #pending: LogEntry[] = []
  #waiting: Array<() => void> = []
  #listener: StoreListener | undefined

  constructor() {
    this.position = this.#store.position
  }

  open(listener: StoreListener): void {
    this.#listener = listener
    this.#store.open({ onEntry: (entry) => void this.#pending.push(entry), onLoss: () => listener.onLoss() })
  }

  /** Passes on all entries. */
  advance(): void {
    for (const entry of this.#pending.splice(0)) {
      this.position = entry.id
      this.#listener?.onEntry(entry)
    }
    for (const resolve of this.#waiting.splice(0)) resolve()
  }

  append(publication: Publication): Promise<string> {
    return this.#store.append(publication)
  }

  read(channels: readonly string[], after: string, limit: number, reader?: StoreReader) {
    const page = this.#store.read(channels, after, limit, reader)
    if (page === 'gap') return page
    if (this.compare(after, this.position) > 0)
      return this.#arrival().then(() => ({ entries: [], upTo: after }))
    const entries = page.entries.filter(({ id }) => this.compare(id, this.position) <= 0)
    const upTo = this.compare(page.upTo, this.position) > 0 ? this.position : page.upTo
    return { entries, upTo } as Page
  }

  history(channels: readonly string[], last: number) {
    return this.#store.history(channels, last)
  }

  compare(a: string, b: string): number {
    return this.#store.compare(a, b)
  }

  close(): Promise<void> {
    return this.#store.close()
  }

  #arrival(): Promise<void> {
    return new Promise((resolve) => this.#waiting.push(resolve))
  }
}

describe('a process that lags behind the broker', () => {
  async function received(subscribe: (hub: Hub, ids: string[]) => Array<[string, SubscribeOptions]>) {
    const store = new LaggingStore()
    const hub = new Hub({ store })
    const publish = (channel: string, data: string) => hub.channel(channel).publish({ data })
    const ids: string[] = []
    for (const data of ['1', '2']) ids.push(await publish('a', data))
    store.advance()
    for (const data of ['3', '4']) ids.push(await publish('a', data))
    await publish('b', '5')
    const [first, ...others] = subscribe(hub, ids) as [
      [string, SubscribeOptions],
      ...[string, SubscribeOptions][],
    ]
    const client = new HubClient(hub, [first[0]], first[1])
    const stream = client.connect()
    for (const [channel, options] of others) hub.subscribe(stream, channel, options)
    await settled()
    store.advance()
    await settled()
    await publish('a', '6')
    store.advance()
    await settled()
    client.cut()
    return client
  }

  it('starts a client after an id that it has not received yet', async () => {
    const client = await received((_hub, ids) => [['a', { from: ids[3] }]])
    expect(client.data).toEqual(['6'])
  })

  it('starts each channel at its own start', async () => {
    const newest = await received((_hub, ids) => [
      ['a', { from: ids[2] }],
      ['b', { from: { last: 1 } }],
    ])
    expect(newest.data).toEqual(['4', '5', '6'])
    const history = await received((_hub, ids) => [
      ['b', { from: 'start' }],
      ['a', { from: ids[2] }],
    ])
    expect(history.data).toEqual(['4', '5', '6'])
  })

  it('sends a position that is not before the start', async () => {
    const client = await received((_hub, ids) => [['a', { from: ids[3] }]])
    for (const { id } of client.seen) expect(Number(id.split('-')[1])).toBeGreaterThanOrEqual(4)
  })
})
