import { EventEmitter } from 'node:events'
import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { ConnectionPair } from '../../../src/stores/redis/connection-pair.ts'
import type { RedisClient } from '../../../src/stores/redis/index.ts'

/** A client of ioredis whose connections respond to the commands that a test names. */
class FakeClient extends EventEmitter {
  static readonly opened: FakeClient[] = []
  static responds = new Set<string>()
  status = 'ready'
  reconnects = 0
  readonly commands: string[] = []

  duplicate() {
    const own = new FakeClient()
    FakeClient.opened.push(own)
    return own
  }

  async connect() {}

  call(command: string): Promise<unknown> {
    this.commands.push(command)
    return FakeClient.responds.has(command) ? Promise.resolve('OK') : new Promise(() => {})
  }

  disconnect(isAgain?: boolean) {
    if (isAgain) this.reconnects += 1
  }
}

const TIMEOUT = 1_000

beforeEach(() => {
  vi.useFakeTimers()
  FakeClient.opened.length = 0
})
afterEach(() => void vi.useRealTimers())

function open(...responds: string[]) {
  FakeClient.responds = new Set(responds)
  const listener = { onReady() {}, onLost() {} }
  const pair = new ConnectionPair(new FakeClient() as unknown as RedisClient, 'key', TIMEOUT, listener)
  const [writer, reader] = FakeClient.opened as [FakeClient, FakeClient]
  return { pair, writer, reader }
}

it('keeps the writer if only the reader is late, after the writer has responded', async () => {
  const { pair, writer, reader } = open('PING')
  const read = pair.askBlocking(0, 'XREAD').catch(String)
  await vi.advanceTimersByTimeAsync(4 * TIMEOUT)
  expect(await read).toContain('in time')
  expect([reader.reconnects, writer.reconnects, writer.commands]).toEqual([1, 0, ['PING']])
})

it('replaces the writer too if it does not respond either', async () => {
  const { pair, writer, reader } = open()
  const read = pair.askBlocking(0, 'XREAD').catch(String)
  await vi.advanceTimersByTimeAsync(4 * TIMEOUT)
  expect(await read).toContain('in time')
  expect(reader.reconnects).toBeGreaterThan(0)
  expect(writer.reconnects).toBe(1)
})

it('replaces both connections if the writer is late, because the reader waits for entries', async () => {
  const { pair, writer, reader } = open()
  const append = pair.ask('XADD').catch(String)
  await vi.advanceTimersByTimeAsync(4 * TIMEOUT)
  expect(await append).toContain('in time')
  expect([reader.reconnects, writer.reconnects]).toEqual([1, 1])
})
