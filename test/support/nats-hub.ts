import { once } from 'node:events'
import { type AddressInfo, connect as connectTo, createServer, type Socket } from 'node:net'
import { connect } from '@nats-io/transport-node'
import { expect, onTestFinished } from 'vitest'
import { Hub } from '../../src/hub/hub.ts'
import {
  type JetStreamStoreOptions,
  jetstreamStore,
  type NatsConnection,
} from '../../src/stores/nats/index.ts'
import { fakeStream, settled } from './streams.ts'

/** Opens a connection that reconnects immediately. The caller closes it. */
export function connectNats(port: number): Promise<NatsConnection> {
  return connect({ port, maxReconnectAttempts: -1, reconnectTimeWait: 20, reconnectJitter: 0 })
}

/** Opens a connection that is closed after the test. */
export async function openConnection(port: number): Promise<NatsConnection> {
  const connection = await connectNats(port)
  onTestFinished(() => connection.close())
  return connection
}

export async function openHub(connection: NatsConnection, options: JetStreamStoreOptions): Promise<Hub> {
  const hub = new Hub({ store: jetstreamStore(connection, options) })
  onTestFinished(() => hub.shutdown({ grace: 0 }))
  await hub._store.ready
  return hub
}

/** Publishes events. Resolves with their ids once the hub has received them. */
export async function publish(hub: Hub, data: readonly unknown[], channel = 'a'): Promise<string[]> {
  const ids = await Promise.all(data.map((each) => hub.channel(channel).publish({ data: each })))
  const sequence = (id = '') => Number(id.split('-')[1])
  await eventually(() => sequence(hub._store.position)).toBeGreaterThanOrEqual(sequence(ids.at(-1)))
  return ids
}

/** Subscribes a stream, whose events the result contains. */
export async function subscribeStream(hub: Hub, lastEventId?: string, channels: readonly string[] = ['a']) {
  const { stream, transport } = fakeStream({ heartbeat: 0 }, lastEventId)
  hub.subscribe(stream, channels)
  await settled()
  const blocks = () => transport.writes.join('').split('\n\n').slice(0, -1)
  return {
    stream,
    get seen(): unknown[] {
      return blocks().flatMap((block): unknown[] => {
        if (block.includes('event: gap')) return ['gap']
        const data = /^data: (.*)$/m.exec(block)?.[1]
        if (data === undefined) return []
        return [/^\d+$/.test(data) ? Number(data) : data]
      })
    },
    get ids(): Array<string | undefined> {
      return blocks().flatMap((block) => (/^data: /m.test(block) ? [/^id: (.*)$/m.exec(block)?.[1]] : []))
    },
  }
}

export function numbers(from: number, to: number): number[] {
  return Array.from({ length: to - from + 1 }, (_, i) => from + i)
}

/** Polls until an expectation is met, which may take seconds on a busy machine. */
export function eventually<T>(value: () => T) {
  return expect.poll(value, { interval: 10 })
}

/** Called with the text that a process sends, which is forwarded when the result settles, unless it is false. */
export type Intercept = (text: string) => Promise<unknown> | unknown

/** Starts a proxy to a broker, with which a test can cut the connections of one process. */
export async function startCuttableProxy(target: number, intercept: Intercept = () => {}) {
  const sockets = new Set<Socket>()
  let isCut = false
  const server = createServer((near) => {
    if (isCut) return void near.destroy()
    const far = connectTo(target, '127.0.0.1')
    for (const socket of [near, far]) sockets.add(socket.on('error', () => {}))
    near.on('close', () => far.destroy())
    far.on('close', () => near.destroy()).pipe(near)
    let before: Promise<unknown> = Promise.resolve()
    near.on('data', (chunk: Buffer) => {
      before = before
        .then(() => intercept(chunk.toString()))
        .then((isForwarded) => isForwarded === false || far.write(chunk))
    })
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const cut = () => {
    isCut = true
    for (const socket of sockets) socket.destroy()
    sockets.clear()
  }
  onTestFinished(() => {
    cut()
    server.close()
  })
  const { port } = server.address() as AddressInfo
  const restore = () => {
    isCut = false
  }
  return { port, cut, restore }
}
