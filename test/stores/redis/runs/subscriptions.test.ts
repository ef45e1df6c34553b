import { expect, it } from 'vitest'
import type { ConnectionListener, RedisConnection } from '../../../../src/stores/redis/connection.ts'
import { type Subscriber, Subscriptions } from '../../../../src/stores/redis/runs/subscriptions.ts'
import { settled } from '../../../support/streams.ts'

/** A connection whose server responds when a test says so. */
class FakeConnection implements RedisConnection {
  isReady = false
  readonly commands: string[] = []
  readonly #listener: ConnectionListener
  #pending: Array<{ resolve(): void; reject(error: Error): void }> = []

  constructor(listener: ConnectionListener) {
    this.#listener = listener
  }

  connect(): void {
    this.isReady = true
    this.#listener.onReady()
  }

  lose(): void {
    this.isReady = false
    for (const { reject } of this.#pending.splice(0)) reject(new Error('Connection is closed.'))
    this.#listener.onLost()
  }

  respond(): void {
    this.#pending.shift()?.resolve()
  }

  subscribe(channels: readonly string[]): Promise<void> {
    return this.#send(`subscribe ${channels}`)
  }

  unsubscribe(channels: readonly string[]): Promise<void> {
    return this.#send(`unsubscribe ${channels}`)
  }

  async command(): Promise<void> {}
  reconnect(): void {}
  close(): void {}

  #send(command: string): Promise<void> {
    this.commands.push(command)
    return new Promise((resolve, reject) => void this.#pending.push({ resolve, reject }))
  }
}

const subscriber: Subscriber = { onMessage() {}, onInterruption() {} }

/** Subscribes to a channel over a new connection. The server has not responded yet. */
async function subscribing() {
  const connections: FakeConnection[] = []
  const subscriptions = new Subscriptions((listener) => {
    const connection = new FakeConnection(listener)
    connections.push(connection)
    return connection
  }, 5_000)
  const subscription = subscriptions.subscribe('run', subscriber)
  const [connection] = connections as [FakeConnection]
  connection.connect()
  await settled()
  return { subscriptions, subscription, connection }
}

it('stays subscribed to a channel that is closed and subscribed to again during a command', async () => {
  const { subscriptions, subscription, connection } = await subscribing()
  connection.respond()
  await settled()
  connection.lose()
  connection.connect()
  await settled()
  subscription.close()
  const next = subscriptions.subscribe('run', subscriber)
  connection.respond()
  await next.ready
  await settled()
  connection.respond()
  await settled()
  expect(new Set(connection.commands)).toEqual(new Set(['subscribe run']))
  subscriptions.close()
})

it('unsubscribes from a channel that is closed before the response to its subscription', async () => {
  const { subscriptions, subscription, connection } = await subscribing()
  subscription.close()
  connection.respond()
  await settled()
  expect(connection.commands).toEqual(['subscribe run', 'unsubscribe run'])
  subscriptions.close()
})

it.each(Array.from({ length: 10 }, (_, count) => count))(
  'does not receive a channel if the connection is lost %i microtasks after the response',
  async (count) => {
    const { subscriptions, subscription, connection } = await subscribing()
    connection.respond()
    for (let i = 0; i < count; i++) await null
    connection.lose()
    await settled()
    expect(subscription.ready).toBeDefined()
    subscriptions.close()
  },
)
