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

/** Opens a connection that reconnects at once. The caller closes it. */
export function join(port: number): Promise<NatsConnection> {
  return connect({ port, maxReconnectAttempts: -1, reconnectTimeWait: 20, reconnectJitter: 0 })
}

/** Opens a connection that is closed after the test. */
export async function openConnection(port: number): Promise<NatsConnection> {
  const connection = await join(port)
  onTestFinished(() => connection.close())
  return connection
}

export async function openHub(connection: NatsConnection, options: JetStreamStoreOptions): Promise<Hub> {
  const hub = new Hub({ store: jetstreamStore(connection, options) })
  onTestFinished(() => hub.shutdown({ grace: 0 }))
  await hub._store.ready
  return hub
}

/** Resolves once the hub has received the events too. */
export async function publish(hub: Hub, data: readonly unknown[]): Promise<string[]> {
  const ids = await Promise.all(data.map((each) => hub.channel('a').publish({ data: each })))
  const sequence = (id = '') => Number(id.split('-')[1])
  await eventually(() => sequence(hub._store.position)).toBeGreaterThanOrEqual(sequence(ids.at(-1)))
  return ids
}

export async function follow(hub: Hub, lastEventId?: string) {
  const { stream, transport } = fakeStream({ heartbeat: 0 }, lastEventId)
  hub.subscribe(stream, ['a'])
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

/** Polls until an expectation is met, on a busy machine for seconds. */
export function eventually<T>(what: () => T) {
  return expect.poll(what, { interval: 10 })
}

/** Called with what a process sends. It is forwarded when the result is settled, unless that is false. */
export type Pass = (text: string) => Promise<unknown> | unknown

/** A proxy to the broker that can be cut for one process alone. */
export async function wayTo(target: number, pass: Pass = () => {}) {
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
      before = before.then(() => pass(chunk.toString())).then((may) => may === false || far.write(chunk))
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
  const mend = () => {
    isCut = false
  }
  return { port, cut, mend }
}
