import { expect, it, vi } from 'vitest'
import type { Address, ConnectionListener, RedisConnection } from '../../../src/stores/redis/connection.ts'
import { RoutedConnection } from '../../../src/stores/redis/routed-connection.ts'
import { nextTurn } from '../../support/streams.ts'

interface Call {
  readonly command: string
  resolve(reply: string): void
  reject(error: Error): void
}

/** A server whose responses a test decides. It executes TYPE, which a connection is probed with, and ASKING. */
class FakeServer implements RedisConnection {
  isReady = false
  readonly calls: Call[] = []
  readonly executed: string[] = []
  readonly listener: ConnectionListener
  readonly address: Address | undefined

  constructor(listener: ConnectionListener, address: Address | undefined) {
    this.listener = listener
    this.address = address
  }

  accept(): void {
    this.isReady = true
    this.listener.onReady()
  }

  command(command: string): Promise<unknown> {
    this.executed.push(command)
    if (command === 'TYPE' || command === 'ASKING') return Promise.resolve('OK')
    return new Promise((resolve, reject) => void this.calls.push({ command, resolve, reject }))
  }

  async subscribe(): Promise<void> {}
  async unsubscribe(): Promise<void> {}
  reconnect(): void {}

  lose(): void {
    this.isReady = false
    this.listener.onLost()
  }

  close(): void {
    this.isReady = false
    for (const { reject } of this.calls) reject(new Error('Connection is closed.'))
  }
}

async function opening() {
  const servers: FakeServer[] = []
  const events: string[] = []
  const topology = {
    redirects: true,
    async open(listener: ConnectionListener, _signal: AbortSignal, address?: Address) {
      const server = new FakeServer(listener, address)
      servers.push(server)
      return server
    },
    close() {},
  }
  const connection = new RoutedConnection(topology, 'key', 1_000, {
    onReady: () => void events.push('ready'),
    onLost: () => void events.push('lost'),
    onError: ({ message }) => void events.push(message),
  })
  await settled()
  return { connection, servers, events, first: servers[0] as FakeServer }
}

async function connected() {
  const opened = await opening()
  opened.first.accept()
  await settled()
  return opened
}

async function microtasks(count: number): Promise<void> {
  for (let i = 0; i < count; i++) await null
}

async function settled(): Promise<void> {
  for (let turn = 0; turn < 3; turn++) await nextTurn()
}

it('moves to the server that MOVED names once no command is in flight', async () => {
  const { connection, servers, events, first } = await connected()
  const executed = connection.command('first')
  const moved = connection.command('second')
  first.calls[1]?.reject(new Error('MOVED 1 10.0.0.2:7000'))
  await expect(moved).rejects.toThrow('MOVED')
  await settled()
  expect([connection.isReady, servers.length]).toEqual([false, 1])
  await expect(connection.command('third')).rejects.toThrow('offline')
  first.calls[0]?.resolve('done')
  expect(await executed).toBe('done')
  await settled()
  expect(servers[1]?.address).toEqual({ host: '10.0.0.2', port: 7000 })
  servers[1]?.accept()
  await settled()
  expect([connection.isReady, events]).toEqual([true, ['ready', 'lost', 'ready']])
})

it('sends ASKING before each command to the server that ASK names, one command at a time', async () => {
  const { connection, servers, first } = await connected()
  expect(connection.pipelining).toBe('alike')
  const asked = connection.command('first')
  first.calls[0]?.reject(new Error('ASK 1 10.0.0.2:7000'))
  await expect(asked).rejects.toThrow('ASK')
  await settled()
  servers[1]?.accept()
  await settled()
  expect(connection.pipelining).toBe('single')
  connection.command('first').catch(() => {})
  connection.command('second').catch(() => {})
  expect(servers[1]?.executed).toEqual(['ASKING', 'TYPE', 'ASKING', 'first', 'ASKING', 'second'])
})

it('rejects a command in flight as one that may have been executed if it reconnects', async () => {
  const { connection, servers } = await connected()
  const unknown = connection.command('first')
  connection.reconnect()
  // ioredis would reject it like a command that was not sent.
  await expect(unknown).rejects.toThrow('replaced before the response')
  await settled()
  expect(servers).toHaveLength(2)
})

it('reconnects if the server that redirected a command does not respond to the others', async () => {
  const { connection, servers, first } = await connected()
  const silent = connection.command('first')
  const moved = connection.command('second')
  first.calls[1]?.reject(new Error('MOVED 1 10.0.0.2:7000'))
  await expect(moved).rejects.toThrow('MOVED')
  connection.reconnect()
  await expect(silent).rejects.toThrow('replaced before the response')
  await settled()
  expect(servers[1]?.address).toEqual({ host: '10.0.0.2', port: 7000 })
})

it('opens no connection after it is closed, and closes one that is being opened', async () => {
  const { connection, servers, first } = await connected()
  first.listener.onLost()
  await settled()
  expect(servers).toHaveLength(2)
  connection.close()
  servers[1]?.accept()
  await settled()
  expect([connection.isReady, servers.length]).toEqual([false, 2])
})

// One of them is between the response to the probe and the report that the connection is up.
const MOMENTS = Array.from({ length: 16 }, (_, count) => count)

it.each(MOMENTS)('connects again if the server is lost %i microtasks after it accepts', async (count) => {
  const { connection, servers, events, first } = await opening()
  first.accept()
  await microtasks(count)
  first.lose()
  await vi.waitUntil(() => servers.length > 1)
  servers[1]?.accept()
  await settled()
  expect([connection.isReady, events.at(-1)]).toEqual([true, 'ready'])
  connection.close()
})

it.each(MOMENTS)(
  'reports nothing once it is closed, %i microtasks after the server accepts',
  async (count) => {
    const { connection, events, first } = await opening()
    first.accept()
    await microtasks(count)
    connection.close()
    const reported = events.length
    await settled()
    expect(events).toHaveLength(reported)
  },
)
