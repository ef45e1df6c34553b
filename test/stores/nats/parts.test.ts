import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { ByteBudget } from '../../../src/stores/nats/byte-budget.ts'
import { ConnectionMonitor } from '../../../src/stores/nats/connection-monitor.ts'
import { JetStreamDriver } from '../../../src/stores/nats/jetstream-driver.ts'
import {
  comparePositions,
  isPositionIn,
  positionOf,
  sequenceOf,
} from '../../../src/stores/nats/message-position.ts'
import { OrderedConsumer } from '../../../src/stores/nats/ordered-consumer.ts'
import { ReadConsumers } from '../../../src/stores/nats/read-consumers.ts'
import type { StreamMessage } from '../../../src/stores/nats/stream-message.ts'
import { StreamReader } from '../../../src/stores/nats/stream-reader.ts'
import { channelOf, subjectOf } from '../../../src/stores/nats/subjects.ts'
import { countHeld } from '../../support/garbage.ts'
import { countIterators } from '../../support/iterators.ts'
import { nextTurn } from '../../support/streams.ts'
import { FakeServer, type ServerState, startPublisher } from './fake-server.ts'

beforeEach(() => {
  vi.useFakeTimers()
})

const consumers: OrderedConsumer[] = []
const drivers: JetStreamDriver[] = []

afterEach(async () => {
  for (const driver of drivers.splice(0)) await driver.close()
  for (const consumer of consumers.splice(0)) consumer.stop()
  expect(vi.getTimerCount()).toBe(0)
  vi.useRealTimers()
})

const codeUnits = fc.array(fc.nat(0xffff), { minLength: 1 }).map((units) => String.fromCharCode(...units))

describe('the subject of a channel', () => {
  test('is one token that every server accepts, and decodes to the channel', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string({ minLength: 1 }), codeUnits), (channel) => {
        const subject = subjectOf('a.b', channel)
        expect(subject).toMatch(/^a\.b\.[\w=-]+$/)
        expect(channelOf('a.b', subject)).toBe(channel)
      }),
    )
  })

  test.each(['a.b.c.d', 'a.c.x', 'a.b.=61', 'a.b.=0061', 'a.b.=00E9', 'a.b.ü', 'a.b.', 'a.b'])(
    'does not decode from %s',
    (subject) => {
      expect(channelOf('a.b', subject)).toBe('')
    },
  )
})

describe('a position', () => {
  test('belongs to its epoch and has one spelling', () => {
    expect(isPositionIn('mbx1', positionOf('mbx1', 0))).toBe(true)
    expect(isPositionIn('mbx1', positionOf('mbx1', Number.MAX_SAFE_INTEGER))).toBe(true)
    for (const text of [
      'mbx1-01',
      'mbx1-9007199254740993',
      'mbx2-1',
      'mbx1-1\n',
      'MBX1-1',
      'mbx1',
      '-1',
      '',
    ]) {
      expect(isPositionIn('mbx1', text)).toBe(false)
    }
    expect(isPositionIn('', '-1')).toBe(false)
  })

  test('is after the positions of older epochs and of lower sequences', () => {
    const positions = ['z-9', '10-1', '10-2', '10-10', 'mbx1-1', 'mbx1-100', 'mbx2-3']
    expect(positions.toReversed().sort(comparePositions)).toEqual(positions)
    expect(comparePositions('a-7', 'a-7')).toBe(0)
    expect(sequenceOf('mbx1-100')).toBe(100)
  })
})

describe('an ordered consumer', () => {
  test('delivers messages with their sequences, for servers with and without a domain', async () => {
    const { server, received } = await startConsumer()
    server.send('log.a', 'one', '$JS.ACK.log.c.1.41.1.1700000000000000000.3')
    server.send('log.b', 'two', '$JS.ACK.hub.acc.log.c.1.42.2.1700000000000000000.2.token')
    expect(received).toEqual([
      { sequence: 41, subject: 'log.a', payload: 'one', pending: 3, time: 1_700_000_000_000 },
      { sequence: 42, subject: 'log.b', payload: 'two', pending: 2, time: 1_700_000_000_000 },
    ])
  })

  test('consumes after a sequence, on the inbox of this process', async () => {
    const { server } = await startConsumer()
    expect(server.config).toMatchObject({ opt_start_seq: 41, deliver_policy: 'by_start_sequence' })
    expect(server.config).toMatchObject({ flow_control: true, ack_policy: 'none', max_deliver: 1 })
    expect(server.inbox).toMatch(/^_INBOX_mine\./)
  })

  test('is broken if a message is missing, and delivers none after that', async () => {
    const { server, received, broken } = await startConsumer()
    server.send('log.a', 'one', ackOf(41, 1))
    server.send('log.a', 'three', ackOf(43, 3))
    server.send('log.a', 'two', ackOf(42, 2))
    expect(received).toHaveLength(1)
    expect(broken).toHaveBeenCalledOnce()
    expect(server.isSubscribed).toBe(false)
  })

  test('is broken if the heartbeat counts more messages than were received', async () => {
    const { server, idle, broken } = await startConsumer()
    server.send('log.a', 'one', ackOf(41, 1))
    server.say({ 'Nats-Last-Consumer': '1', 'Nats-Last-Stream': '41' })
    expect(idle).toHaveBeenCalledExactlyOnceWith(41)
    server.say({ 'Nats-Last-Consumer': '2', 'Nats-Last-Stream': '42' })
    expect(broken).toHaveBeenCalledOnce()
    expect(idle).toHaveBeenCalledOnce()
  })

  test('is broken if heartbeats are missing for seconds', async () => {
    const { server, broken } = await startConsumer()
    for (let i = 0; i < 10; i++) {
      vi.advanceTimersByTime(1_000)
      server.say({ 'Nats-Last-Consumer': '0', 'Nats-Last-Stream': '40' })
    }
    await nextTurn()
    expect(broken).not.toHaveBeenCalled()
    vi.advanceTimersByTime(5_000)
    await nextTurn()
    expect(broken).toHaveBeenCalledOnce()
  })

  test('is not broken if a heartbeat waits in the socket when the last missing one is counted (rule 44)', async () => {
    const { server, broken } = await startConsumer()
    vi.advanceTimersByTime(3_000)
    // As after a blocked event loop: the timer runs, then the socket is read, then the immediates run.
    vi.advanceTimersToNextTimer()
    server.say({ 'Nats-Last-Consumer': '0', 'Nats-Last-Stream': '40' })
    await nextTurn()
    expect(broken).not.toHaveBeenCalled()
  })

  test('responds to flow control', async () => {
    const { server, idle } = await startConsumer()
    server.say({}, '$JS.FC.log.c.x')
    expect(server.answered).toEqual(['$JS.FC.log.c.x'])
    server.say({ 'Nats-Last-Consumer': '0', 'Nats-Last-Stream': '40', 'Nats-Consumer-Stalled': '$JS.FC.y' })
    expect(server.published).toEqual(['$JS.FC.y'])
    expect(idle).not.toHaveBeenCalled()
  })

  test('does not treat a message as a status', async () => {
    const { server, received, broken } = await startConsumer()
    server.send('log.a', 'one', ackOf(41, 1), { 'Nats-Last-Consumer': '9', 'Nats-Consumer-Stalled': 'x' })
    expect([received.length, broken.mock.calls.length, server.published.length]).toEqual([1, 0, 0])
  })
})

describe('a publisher', () => {
  test('sends no message before one that must be sent again', async () => {
    const { server, publish } = startPublisher()
    const published = [publish('1'), publish('2'), publish('3')]
    expect(server.sent()).toEqual(['1', '2', '3'])
    server.fail('1', { name: 'TimeoutError' })
    server.acknowledge('2')
    await vi.advanceTimersByTimeAsync(1_000)
    published.push(publish('4'))
    expect(server.sent()).toEqual([])
    server.fail('3', { name: 'JetStreamApiError', status: 503 })
    await vi.advanceTimersByTimeAsync(1_000)
    expect(server.sent()).toEqual(['1', '3', '4'])
    for (const payload of ['1', '3', '4']) server.acknowledge(payload)
    await Promise.all(published)
  })

  test('sends a message again with the same id', async () => {
    const { server, publish } = startPublisher()
    const published = publish('1')
    server.sent()
    server.fail('1', { name: 'TimeoutError' })
    await vi.advanceTimersByTimeAsync(1_000)
    server.sent()
    server.acknowledge('1')
    await published
    expect(server.ids).toEqual(['id of 1', 'id of 1'])
  })

  test('sends lost messages again after a reconnect, before later ones', async () => {
    const { server, publish } = startPublisher()
    const published = [publish('1'), publish('2')]
    server.sent()
    server.status('disconnect')
    await vi.advanceTimersByTimeAsync(1_000)
    published.push(publish('3'))
    expect(server.sent()).toEqual([])
    server.status('reconnect')
    await vi.advanceTimersByTimeAsync(1_000)
    expect(server.sent()).toEqual(['1', '2', '3'])
    for (const payload of ['1', '2', '3']) server.acknowledge(payload)
    await Promise.all(published)
  })

  test('sends nothing again after the timeout, although the deadline is extended', async () => {
    const { server, publish } = startPublisher()
    const failed = expect(publish('1')).rejects.toMatchObject({ code: 'ERR_SSE_STORE' })
    server.sent()
    // The event loop was blocked, and the response arrives before the timer.
    const now = vi.spyOn(performance, 'now').mockReturnValue(performance.now() + 6_000)
    server.fail('1', { name: 'TimeoutError' })
    await vi.advanceTimersByTimeAsync(1_000)
    expect(server.sent()).toEqual([])
    now.mockRestore()
    await vi.advanceTimersByTimeAsync(10_000)
    await failed
  })

  test('rejects at the timeout with the last failure, and does not send again', async () => {
    const { server, publish, trouble } = startPublisher()
    const failed = expect(publish('1')).rejects.toMatchObject({
      code: 'ERR_SSE_STORE',
      cause: { status: 503 },
    })
    for (let i = 0; i < 30; i++) {
      for (const payload of server.sent()) server.fail(payload, { name: 'JetStreamApiError', status: 503 })
      await vi.advanceTimersByTimeAsync(200)
    }
    await failed
    expect(trouble).toHaveBeenCalled()
    expect(server.sent()).toEqual([])
  })

  test('sends again in the order of publish, whatever the order of the failures', async () => {
    const { server, publish } = startPublisher()
    const published = [publish('1'), publish('2'), publish('3')]
    expect(server.sent()).toEqual(['1', '2', '3'])
    for (const payload of ['3', '1', '2']) server.fail(payload, { name: 'TimeoutError' })
    await vi.advanceTimersByTimeAsync(1_000)
    expect(server.sent()).toEqual(['1', '2', '3'])
    for (const payload of ['1', '2', '3']) server.acknowledge(payload)
    await Promise.all(published)
  })

  test('does not send a rejected message again', async () => {
    const { server, publish } = startPublisher()
    const error = { name: 'JetStreamApiError', status: 400, message: 'no' }
    const refused = expect(publish('1')).rejects.toMatchObject({ code: 'ERR_SSE_STORE', cause: error })
    server.sent()
    server.fail('1', error)
    await refused
    await vi.advanceTimersByTimeAsync(1_000)
    expect(server.sent()).toEqual([])
  })

  test('holds no message that was rejected during an outage, whether it was sent before or not', async () => {
    const { server, publish } = startPublisher()
    const publishSome = (prefix: string) =>
      Array.from({ length: 20 }, (_, i) => {
        const published = publish(`${prefix}${i}`)
        published.catch(() => {})
        return new WeakRef(published)
      })
    const rejected = publishSome('rejected')
    await vi.advanceTimersByTimeAsync(5_000)
    const lost = publishSome('lost')
    // The first messages are rejected in their third attempt, which the loss of the connection ends.
    await vi.advanceTimersByTimeAsync(200)
    server.status('disconnect')
    await vi.advanceTimersByTimeAsync(0)
    const waiting = publishSome('waiting')
    await vi.advanceTimersByTimeAsync(10_000)
    for (const refs of [rejected, lost, waiting]) expect(await countHeld(refs)).toBeLessThan(2)
  })

  test('does not leave a request to the client that has no response for long', async () => {
    const { server, publish } = startPublisher()
    publish('1').catch(() => {})
    await vi.advanceTimersByTimeAsync(10_000)
    expect(server.timeouts.length).toBeGreaterThan(1)
    for (const timeout of server.timeouts) {
      // An attempt lasts at most twice its timeout of 2 s.
      expect(timeout).toBeGreaterThan(4_000)
      expect(timeout).toBeLessThan(10_000)
    }
  })
})

describe('a publisher in a cluster', () => {
  test.each([
    ['belongs to a cluster', { info: { cluster: 'c' }, replicas: 1 }],
    ['is a leaf of a cluster', { info: {}, replicas: 3 }],
  ])('sends one message at a time if the server %s', async (_, { info, replicas }) => {
    const { driver, server } = await startDriver({ info, replicas })
    const published = ['1', '2', '3'].map((record) => driver.append('a', record))
    expect(server.sent()).toEqual(['1'])
    server.fail('1', { name: 'TimeoutError' })
    await vi.advanceTimersByTimeAsync(1_000)
    for (const record of ['1', '2', '3']) {
      expect(server.sent()).toEqual([record])
      server.acknowledge(record)
      await vi.advanceTimersByTimeAsync(0)
    }
    await Promise.all(published)
  })

  test('sends many messages at a time to a single server', async () => {
    const { driver, server } = await startDriver({ info: {}, replicas: 1 })
    for (const record of ['1', '2', '3']) driver.append('a', record).catch(() => {})
    expect(server.sent()).toEqual(['1', '2', '3'])
  })
})

describe('a driver that starts', () => {
  test('reports a loss if messages were removed after the first one was delivered', async () => {
    const { server, delivered, ready } = openDriver({ last: 5 })
    await vi.advanceTimersByTimeAsync(0)
    server.send('log.a', 'one', ackOf(1, 1, 4))
    server.send('log.a', 'four', ackOf(4, 2, 1))
    server.send('log.a', 'five', ackOf(5, 3, 0))
    await ready
    expect(delivered).toEqual(['s-1 one', 'lost up to s-3', 's-4 four', 's-5 five'])
  })

  test('reports no loss if the newest messages were removed before the first delivery', async () => {
    const { server, delivered, ready } = openDriver({ last: 5 })
    await vi.advanceTimersByTimeAsync(0)
    server.send('log.a', 'one', ackOf(1, 1, 1))
    server.send('log.a', 'two', ackOf(2, 2, 0))
    await ready
    server.say({ 'Nats-Last-Consumer': '2', 'Nats-Last-Stream': '5' })
    server.send('log.a', 'six', ackOf(6, 3, 0))
    expect(delivered).toEqual(['s-1 one', 's-2 two', 's-6 six'])
  })
})

describe('a driver that is live', () => {
  test('reports a loss if messages were removed before their delivery, and continues', async () => {
    const { server, delivered } = await startDriver()
    server.send('log.a', 'one', ackOf(1, 1))
    server.send('log.a', 'five', ackOf(5, 2))
    server.send('log.a', 'six', ackOf(6, 3))
    expect(delivered).toEqual(['s-1 one', 'lost up to s-4', 's-5 five', 's-6 six'])
  })

  test('reports a loss if the heartbeat is ahead of the last message', async () => {
    const { server, delivered } = await startDriver()
    server.send('log.a', 'one', ackOf(1, 1))
    server.say({ 'Nats-Last-Consumer': '1', 'Nats-Last-Stream': '1' })
    server.say({ 'Nats-Last-Consumer': '1', 'Nats-Last-Stream': '3' })
    server.say({ 'Nats-Last-Consumer': '1', 'Nats-Last-Stream': '3' })
    expect(delivered).toEqual(['s-1 one', 'lost up to s-3'])
  })
})

describe('a read that fails', () => {
  test('is tried again after a longer time with each failure, until it is aborted', async () => {
    const { reader, server } = startReader()
    const times: number[] = []
    server.onInfo = () => {
      times.push(Date.now())
      throw Object.assign(new Error('no response'), { name: 'TimeoutError' })
    }
    const abort = new AbortController()
    const failed = expect(reader.has('s-3', abort.signal)).rejects.toBe('gone')
    await vi.advanceTimersByTimeAsync(60_000)
    const delays = times.slice(1).map((time, i) => time - (times[i] as number))
    for (const [i, delay] of delays.entries()) {
      expect(delay).toBeGreaterThanOrEqual(Math.min(50 * 2 ** i, 2_000))
      expect(delay).toBeLessThanOrEqual(Math.min(100 * 2 ** i, 4_000))
    }
    const { length } = times
    expect(length).toBeGreaterThan(15)
    abort.abort('gone')
    await failed
    expect(vi.getTimerCount()).toBe(0)
    await vi.advanceTimersByTimeAsync(60_000)
    expect(times).toHaveLength(length)
  })

  test('rejects at once if the connection is closed', async () => {
    const { reader, server, connection } = startReader()
    server.onInfo = () => {
      throw Object.assign(new Error('no response'), { name: 'TimeoutError' })
    }
    const read = reader.has('s-3', new AbortController().signal)
    const failed = expect(read).rejects.toMatchObject({ code: 'ERR_SSE_STORE' })
    await vi.advanceTimersByTimeAsync(10_000)
    connection.close()
    await failed
  })

  test('removes no consumer if it was aborted before one was created', async () => {
    const { server, pool } = startReader()
    pool.remove(await pool.create({ after: 0 }, new AbortController().signal))
    await expect(pool.create({ after: 0 }, AbortSignal.abort('gone'))).rejects.toBe('gone')
    await vi.advanceTimersByTimeAsync(0)
    expect(server.removed).toBe(1)
  })

  test('removes its consumer if it ends after the close', async () => {
    const { server, pool } = startReader()
    const consumer = await pool.create({ after: 0 }, new AbortController().signal)
    const closed = pool.close()
    pool.keep(consumer, { after: 7 })
    await closed
    expect([server.removed, vi.getTimerCount()]).toEqual([1, 0])
  })

  test('restarts at another time than others after an outage', async () => {
    const { reader, server } = startReader()
    server.status('disconnect')
    await vi.advanceTimersByTimeAsync(0)
    const times = new Set<number>()
    server.onInfo = () => void times.add(Date.now())
    const reads = Array.from({ length: 100 }, () => reader.has('s-3', new AbortController().signal))
    server.status('reconnect')
    await vi.advanceTimersByTimeAsync(1_000)
    await Promise.all(reads)
    expect(times.size).toBeGreaterThan(10)
  })
})

describe('the pulls of all reads', () => {
  const KiB = 1024
  const never = () => new AbortController().signal
  const range = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => from + i)

  async function startPulls() {
    const { server, pool } = startReader()
    const consumer = await pool.create({ after: 0 }, never())
    // The number of messages identifies a request.
    const pull = (messages: number, bytes = 256 * KiB, signal = never()) =>
      consumer.pull({ messages, bytes }, signal)
    const end = async (...numbers: number[]) => {
      for (const number of numbers) server.pulls.get(number)?.end()
      await nextTurn()
    }
    return { pull, end, requested: () => [...server.pulls.keys()] }
  }

  test('request at most 16 MiB at a time, in their order', async () => {
    const { pull, end, requested } = await startPulls()
    const pulls = range(0, 1_000).map((number) => pull(number))
    await end()
    expect(requested()).toEqual(range(0, 64))
    await end(0)
    expect(requested()).toEqual(range(0, 65))
    await end(...range(1, 64).reverse())
    expect(requested()).toEqual(range(0, 128))
    while (requested().length < 1_000) {
      const started = requested().length
      await end(...range(started - 64, started))
      expect(requested()).toEqual(range(0, Math.min(1_000, started + 64)))
    }
    await end(...requested())
    expect(await Promise.all(pulls)).toHaveLength(1_000)
  })

  test('start without an iterator for each', async () => {
    const budget = new ByteBudget(1)
    const order: number[] = []
    const iterators = countIterators()
    await Promise.all(
      range(0, 1_000).map(async (number) => {
        await budget.acquire(1, never())
        order.push(number)
        budget.release(1)
      }),
    )
    expect(order).toEqual(range(0, 1_000))
    expect(iterators()).toBeLessThan(100)
  })

  test('let no small one overtake a large one', async () => {
    const { pull, end, requested } = await startPulls()
    const pulls = [...range(0, 64).map((number) => pull(number)), pull(64, 8 * KiB * KiB), pull(65)]
    await end()
    await end(...range(0, 31))
    expect(requested()).toEqual(range(0, 64))
    await end(31)
    expect(requested()).toEqual(range(0, 65))
    await end(32)
    expect(requested()).toEqual(range(0, 66))
    await end(...requested())
    await Promise.all(pulls)
  })

  test('do not wait for one that is aborted while it waits', async () => {
    const { pull, end, requested } = await startPulls()
    const abort = new AbortController()
    const pulls = range(0, 64).map((number) => pull(number))
    const aborted = expect(pull(64, 8 * KiB * KiB, abort.signal)).rejects.toBe('gone')
    pulls.push(pull(65))
    await end()
    await end(0)
    expect(requested()).toEqual(range(0, 64))
    abort.abort('gone')
    await aborted
    await nextTurn()
    expect(requested()).toEqual([...range(0, 64), 65])
    await end(...requested())
    await Promise.all(pulls)
  })

  test('end when the connection is lost, also those that wait', async () => {
    const { server, pool } = startReader()
    const consumer = await pool.create({ after: 0 }, never())
    const pulls = range(0, 100).map((number) =>
      consumer.pull({ messages: number, bytes: 256 * KiB }, never()),
    )
    const failed = Promise.all(pulls.map((each) => expect(each).rejects.toThrow('lost')))
    server.status('disconnect')
    await failed
    expect(server.pulls.size).toBe(64)
  })
})

function openDriver(state: ServerState = {}) {
  const server = new FakeServer(state)
  const plan = { stream: 'log', subjectPrefix: 'log', publishTimeout: 5_000, requested: {}, settings: {} }
  const delivered: string[] = []
  const driver = new JetStreamDriver(server.client, plan)
  drivers.push(driver)
  const short = (id: string) => id.replace(/^\w+/, 's')
  const ready = driver.open(
    {
      _onEntries: (entries) =>
        void delivered.push(...entries.map(({ id, record }) => `${short(id)} ${record}`)),
      _onLoss: (head) => void delivered.push(`lost up to ${short(head)}`),
      _onState: () => {},
    },
    { entries: 10, bytes: 1e6 },
  )
  return { driver, server, delivered, ready }
}

async function startDriver(state?: ServerState) {
  const log = openDriver(state)
  await log.ready
  return log
}

function ackOf(sequence: number, delivered: number, pending = 0): string {
  return `$JS.ACK.log.c.1.${sequence}.${delivered}.1700000000000000000.${pending}`
}

async function startConsumer() {
  const server = new FakeServer()
  const received: StreamMessage[] = []
  const [broken, idle] = [vi.fn(), vi.fn()]
  const listener = { onMessage: (each: StreamMessage) => received.push(each), onIdle: idle, onBroken: broken }
  const consumer = new OrderedConsumer(server.client, 'log', listener)
  await consumer.create(40)
  consumer.listen()
  consumers.push(consumer)
  return { server, received, broken, idle }
}

function startReader() {
  const server = new FakeServer()
  const connection = new ConnectionMonitor(server.client.connection, () => {})
  const plan = { stream: 'log', subjectPrefix: 'log', publishTimeout: 5_000, requested: {}, settings: {} }
  const pool = new ReadConsumers(server.client, connection, 'log')
  return {
    server,
    connection,
    pool,
    reader: new StreamReader(server.client, plan, connection, pool, () => () => {}),
  }
}
