import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { beforeAll, beforeEach, expect, onTestFinished, test } from 'vitest'
import type { Hub } from '../../../src/hub/hub.ts'
import { block } from '../../support/block.ts'
import { type Broker, startNats } from '../../support/brokers.ts'
import {
  eventually,
  numbers,
  openConnection,
  openHub,
  publish,
  subscribeStream,
} from '../../support/nats-hub.ts'
import { nextTurn } from '../../support/streams.ts'

// Longer than `publishTimeout` and than an attempt to publish, which is 2 s.
const BLOCK = 3_000
const publishTimeout = 1_000

let broker: Broker
let stream = ''
let streams = 0

beforeAll(async () => {
  broker = await startNats()
  return () => broker.end()
})

beforeEach(() => {
  stream = `blocked-${++streams}`
})

async function opened(options = {}): Promise<Hub> {
  const connection = await openConnection(broker.port)
  return openHub(connection, { streamName: stream, publishTimeout, ...options })
}

function statesOf(hub: Hub): string[] {
  const states: string[] = []
  const listener = (message: unknown) => {
    const { store, state } = message as { store: unknown; state: string }
    if (store === hub._store) states.push(state)
  }
  subscribe('spillway:store:state', listener)
  onTestFinished(() => void unsubscribe('spillway:store:state', listener))
  return states
}

test.each([0, 1, 2])(
  'a process whose event loop is blocked %i turns after a publish does not reject it (rule 44)',
  async (turns) => {
    const hub = await opened()
    await publish(hub, ['first'])
    const states = statesOf(hub)
    const published = hub.channel('a').publish({ data: turns })
    for (let turn = 0; turn < turns; turn++) await nextTurn()
    block(BLOCK)
    await expect(published).resolves.toMatch(/-2$/)
    await publish(hub, ['last'])
    expect(states).toEqual([])
  },
)

test('a process whose event loop is blocked disconnects no client that is replayed (rule 44)', async () => {
  const ids = await publish(await opened(), numbers(1, 9))
  const hub = await opened({ recentEvents: 2 })
  for (const turns of [0, 1, 3]) {
    const resuming = subscribeStream(hub, ids[1])
    for (let turn = 0; turn < turns; turn++) await nextTurn()
    block(BLOCK)
    const client = await resuming
    await eventually(() => client.stream.closed || client.seen.length >= 7).toBe(true)
    expect(client.seen).toEqual(numbers(3, 9))
  }
})
