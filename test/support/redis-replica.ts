import type { Redis } from 'ioredis'
import { expect, vi } from 'vitest'

/** Options of a master. By default, it waits 5 s for more replicas before it sends its data to one. */
export const FAST_SYNC = ['--repl-diskless-sync-delay', '0']

/** Polls until a value is as expected. May be called in a hook too. */
export async function eventually(value: () => unknown, expected: unknown): Promise<void> {
  const options = { timeout: 30_000, interval: 50 }
  await vi.waitFor(async () => expect(await value()).toEqual(expected), options)
}

/** Resolves when a replica is in sync with its master. */
export async function inSync(replica: Redis): Promise<void> {
  await eventually(() => replica.info('replication'), expect.stringContaining('master_link_status:up'))
}

/** Returns how many connections servers have. */
export async function connectionsTo(admins: readonly Redis[]): Promise<number> {
  const lists = await Promise.all(admins.map((admin) => admin.client('LIST')))
  return lists.join('').match(/^id=/gm)?.length ?? 0
}

/** Resolves with a number once it does not change any more. */
export async function settled(value: () => Promise<number>): Promise<number> {
  for (let last = await value(); ; ) {
    await new Promise((resolve) => setTimeout(resolve, 100))
    const next = await value()
    if (next === last) return next
    last = next
  }
}
