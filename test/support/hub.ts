import { expect } from 'vitest'
import type { Hub } from '../../src/hub/hub.ts'
import type { FakeTransport } from './fake-transport.ts'
import { parseEvents } from './parse.ts'
import { fakeStream, settled } from './streams.ts'

/** The gap event of a hub, as `eventsOf` returns it. */
export const GAP = 'gap {"reason":"unknown"}'

/** The events written to a transport, for example `message 1`. The padding of `publishNumbers` is removed. */
export function eventsOf({ writes }: Pick<FakeTransport, 'writes'>): string[] {
  return parseEvents(writes.join('')).map(({ event = 'message', data }) => `${event} ${data.trimEnd()}`)
}

/** Returns the events with some data, as `eventsOf` returns them. */
export const messages = (...data: unknown[]) => data.map((each) => `message ${each}`)

/** Subscribes a stream over a fake transport. Resolves when it is live. */
export async function subscribed(
  hub: Hub,
  channels: readonly string[],
  ...args: Parameters<typeof fakeStream>
) {
  const { stream, transport } = fakeStream(...args)
  const unsubscribe = hub.subscribe(stream, channels)
  await settled()
  return { stream, transport, unsubscribe }
}

/** Publishes `start`, then the numbers below `count`, each padded to `size` characters. Returns the id of `start`. */
export async function publishNumbers(hub: Hub, count: number, { channel = 'a', size = 0 } = {}) {
  const start = await hub.channel(channel).publish({ data: 'start' })
  for (let i = 0; i < count; i++) await hub.channel(channel).publish({ data: `${i}`.padEnd(size) })
  return start
}

/** Drains a transport until several pages of events are written. */
export async function drainAll(transport: FakeTransport): Promise<void> {
  for (let i = 0; i < 10; i++) {
    transport.drain()
    await settled()
  }
}

/** An `SseError` with a code, for `toThrow`. */
export const sseError = (code: string) => expect.objectContaining({ name: 'SseError', code })
