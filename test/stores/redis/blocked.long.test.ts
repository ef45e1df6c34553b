import { describe, expect, it } from 'vitest'
import { block } from '../../support/block.ts'
import {
  CLIENTS,
  connectionsWith,
  numbers,
  openHub,
  openPubSub,
  publish,
  reconnect,
  seen,
  statesOf,
} from '../../support/redis-hub.ts'
import { nextTurn } from '../../support/streams.ts'

// Longer than `publishTimeout` and than the time in which a connection must respond, which is at least a second.
const BLOCK = 2_000
const publishTimeout = 500

const hubConnections = () => connectionsWith(/cmd=(?!client)/)

describe.each(CLIENTS)(
  'a process with a client of %s whose event loop is blocked (rule 44)',
  (_name, client) => {
    it.each([
      ['with', { idempotencyKey: 'once' }],
      ['without', {}],
    ])('rejects no publish %s an idempotency key, and keeps its connections', async (_how, options) => {
      const hub = openHub({ publishTimeout }, client())
      await publish(hub, 0, 1)
      const before = await hubConnections()
      const states = statesOf(hub)
      for (const turns of [0, 1]) {
        const published = hub.channel('a').publish({ data: turns }, options)
        for (let turn = 0; turn < turns; turn++) await nextTurn()
        block(BLOCK)
        await expect(published).resolves.toMatch(/-/)
      }
      expect(states).toEqual([])
      expect(await hubConnections()).toEqual(before)
    })

    it('rejects no publish on Pub/Sub, and keeps its connections', async () => {
      const hub = openPubSub(client(), { publishTimeout })
      await publish(hub, 0, 1)
      const before = await hubConnections()
      const states = statesOf(hub)
      for (const turns of [0, 1]) {
        const published = hub.channel('a').publish({ data: turns })
        for (let turn = 0; turn < turns; turn++) await nextTurn()
        block(BLOCK)
        await expect(published).resolves.toMatch(/-/)
      }
      expect(states).toEqual([])
      expect(await hubConnections()).toEqual(before)
    })

    it('disconnects no client that is replayed from Redis', async () => {
      const hub = openHub({ publishTimeout, recentEvents: 2 }, client())
      const start = await hub.channel('a').publish({ data: 'start' })
      await publish(hub, 0, 9)
      // A process that has cached only the newest events.
      const other = openHub({ publishTimeout, recentEvents: 2 }, client())
      await expect.poll(() => other.state).toBe('ready')
      const states = statesOf(other)
      const resumed = reconnect(other, start)
      await nextTurn()
      block(BLOCK)
      expect(await seen(resumed, 9)).toEqual(numbers(0, 9))
      expect(states).toEqual([])
    })
  },
)
