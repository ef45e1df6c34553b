import type { Redis } from 'ioredis'
import { describe, expect, it, onTestFinished } from 'vitest'
import { Hub } from '../../../src/hub/hub.ts'
import { type RedisClient, redisStore } from '../../../src/stores/redis/index.ts'
import type { Broker } from '../../support/brokers.ts'
import { numbers, seen, statesOf, subscribeClient } from '../../support/redis-hub.ts'
import { eventually } from '../../support/redis-replica.ts'

export interface Server {
  readonly broker: Broker
  readonly admin: Redis
}

/** A master and a replica in sync. Clients reach them through proxies. */
export interface Deployment {
  readonly key: string
  readonly master: Server
  readonly replica: Server
  /** Returns a new client, which is not connected. */
  client(): RedisClient
  /** Stops forwarding responses to clients. */
  mute(): void
  /** Closes the connections of clients, and forwards responses again. */
  cut(): void
  /** Makes the replica the master. */
  promote(): Promise<void>
}

/** `isKilled`: whether the test kills the master. */
export type StartDeployment = (options: { readonly isKilled: boolean }) => Promise<Deployment>

/** The number of tests that kill the master. */
export const KILLS = 2

/** Tests that a store sends no event twice, and loses none without a gap, if replies or servers are lost. */
export function failoverContract(name: string, start: StartDeployment): void {
  describe(name, () => {
    it('sends no publish twice if its reply is lost', async () => {
      const { channel, reader, master, stored, mute, cut } = await opened(await start({ isKilled: false }))
      await channel.publish({ data: 0 })
      const before = await stored(master)
      mute()
      const plain = expect(channel.publish({ data: 1 })).rejects.toMatchObject({ code: 'ERR_SSE_STORE' })
      await eventually(() => stored(master), before + 1)
      cut()
      await plain
      await channel.publish({ data: 2 })
      mute()
      const repeatable = channel.publish({ data: 3 }, { idempotencyKey: 'k' })
      await eventually(() => stored(master), before + 3)
      cut()
      const id = await repeatable
      expect(await channel.publish({ data: 'again' }, { idempotencyKey: 'k' })).toBe(id)
      await channel.publish({ data: 4 })
      expect(await seen(reader, 5)).toEqual(numbers(0, 5))
      expect(await stored(master)).toBe(before + 4)
    })

    it('sends each publish once if the master is killed after it executed one', async () => {
      const { channel, reader, master, replica, stored, mute, cut, promote } = await opened(
        await start({ isKilled: true }),
      )
      await channel.publish({ data: 0 })
      const before = await stored(master)
      mute()
      const executed = channel.publish({ data: 1 }, { idempotencyKey: '1' })
      await eventually(() => stored(replica), before + 1)
      await master.broker.stop()
      cut()
      const published = [executed]
      for (let n = 2; n < 20; n++) published.push(channel.publish({ data: n }, { idempotencyKey: `${n}` }))
      await promote()
      await Promise.all(published)
      await channel.publish({ data: 20 })
      expect(await seen(reader, 21)).toEqual(numbers(0, 21))
      expect(await stored(replica)).toBe(before + 20)
    })

    it('sends a gap if the replica lacks an event that was delivered, and stores the event if it is repeated', async () => {
      const { hub, channel, reader, master, replica, promote } = await opened(await start({ isKilled: true }))
      const states = statesOf(hub)
      await channel.publish({ data: 0 })
      const resume = await pauseReplication(master, replica)
      const lost = await channel.publish({ data: 1 }, { idempotencyKey: '1' })
      await expect.poll(() => reader.transport.writes.join('')).toContain('data: 1\n')
      await master.broker.stop()
      resume()
      await promote()
      await expect.poll(() => reader.transport.writes.join('')).toContain('event: gap')
      // As docs/redis.md states.
      expect(await channel.publish({ data: 1 }, { idempotencyKey: '1' })).not.toBe(lost)
      await channel.publish({ data: 2 })
      expect(await seen(reader, 5)).toEqual(['0', '1', 'gap', '1', '2'])
      expect(states).toEqual(['reconnecting', 'ready'])
    })
  })
}

async function opened(deployment: Deployment) {
  const { key } = deployment
  const hub = new Hub({ store: redisStore(deployment.client(), { key, publishTimeout: 30_000 }) })
  onTestFinished(() => hub.shutdown({ grace: 0 }))
  const reader = await subscribeClient(hub)
  const stored = ({ admin }: Server) => admin.xlen(key).catch(() => 0)
  return { ...deployment, hub, reader, stored, channel: hub.channel('a') }
}

/** Stops a replica, so that it lacks what the master executes from now on. Returns a function that continues it. */
async function pauseReplication(master: Server, { broker: { pid } }: Server): Promise<() => void> {
  process.kill(Number(pid), 'SIGSTOP')
  // Otherwise it reads the events from its socket when it continues.
  await master.admin.call('CLIENT', 'KILL', 'TYPE', 'replica')
  return () => void process.kill(Number(pid), 'SIGCONT')
}
