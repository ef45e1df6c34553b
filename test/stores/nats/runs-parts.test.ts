import fc from 'fast-check'
import { describe, expect, test, vi } from 'vitest'
import { clock } from '../../../src/scheduler/clock.ts'
import { ConnectionMonitor } from '../../../src/stores/nats/connection-monitor.ts'
import { Checkpoints } from '../../../src/stores/nats/runs/checkpoints.ts'
import {
  decodeRecord,
  encodeRecord,
  epochAt,
  expiryOf,
  newNonce,
  placeOf,
  type RunRecord,
  sequenceAt,
  startOf,
} from '../../../src/stores/nats/runs/run-record.ts'
import type { RunStream } from '../../../src/stores/nats/runs/run-stream.ts'
import { RunWriter } from '../../../src/stores/nats/runs/run-writer.ts'
import { ServerClock } from '../../../src/stores/nats/runs/server-clock.ts'
import { WritableRun } from '../../../src/stores/nats/runs/writable-run.ts'
import { deferred } from '../../support/deferred.ts'
import { batchOf } from '../../support/nats-runs.ts'
import { FakeServer } from './fake-server.ts'

const HOUR = 3_600_000
const start: RunRecord = { ...batchOf(1), epoch: '0123abcd', owner: 'me', age: 0, maxAge: HOUR }

describe('the epoch of a run', () => {
  test('has the sequence of its first message, and letters and digits only', () => {
    for (const sequence of [1, 35, 36, Number.MAX_SAFE_INTEGER]) {
      const epoch = epochAt(newNonce(), sequence)
      expect(epoch).toMatch(/^[0-9a-z]{9,20}$/)
      expect(startOf(epoch)).toBe(sequence)
    }
  })
})

describe('a place', () => {
  test('is read as a sequence only if it is spelled like one', () => {
    for (const sequence of [1, 36, 2 ** 40]) expect(sequenceAt(placeOf(sequence))).toBe(sequence)
    for (const text of ['', '0', '01', '-1', 'A', ' 1', '1\n', '9'.repeat(11), undefined]) {
      expect(sequenceAt(text)).toBeUndefined()
    }
  })
})

describe('a record', () => {
  test('decodes to what was encoded', () => {
    const record: RunRecord = { ...start, ...batchOf(7, 'a\n\ud800', ''), end: 'lost', keep: 5, age: 3 }
    expect(decodeRecord(encodeRecord(record), 9)).toEqual(JSON.parse(JSON.stringify(record)))
  })

  test('of a start has the epoch with its sequence', () => {
    expect(decodeRecord(encodeRecord(start), 37)?.epoch).toBe('0123abcd11')
  })

  test.each([
    ['no object', '[]'],
    ['an event name with a line end', { events: [{ event: 'a\nb', data: '', isText: true }] }],
    ['data that is no text', { events: [{ data: 1, isText: true }] }],
    ['an unknown end', { end: 'x' }],
    ['an epoch with other characters', { epoch: '0123abcd-' }],
    ['an age that is no number', { age: '1' }],
    ['a negative age', { age: -1 }],
    ['a negative maximum age', { maxAge: -1 }],
    ['a negative time for which it is kept', { keep: -1 }],
    ['the number 0', { first: 0 }],
    ['a number that is not whole', { first: 1.5 }],
    ['a number that is too large', { first: 2 ** 53 }],
    ['too large numbers of events', { first: 2 ** 53 - 2, events: batchOf(1, 'a', 'b').events }],
  ])('is not decoded from %s', (_, change) => {
    const text = typeof change === 'string' ? change : JSON.stringify({ ...start, ...change })
    expect(decodeRecord(text, 1)).toBeUndefined()
  })

  test('expires by the time of its message', () => {
    expect(expiryOf({ ...start, age: 1_000 }, 5_000)).toBe(4_000 + HOUR)
    expect(expiryOf({ ...start, age: 1_000, end: 'done', keep: 10 }, 5_000)).toBe(5_010)
  })
})

describe('a run that is written', () => {
  test('is kept no longer than its first message after the end', () => {
    const run = new WritableRun(start, 1, clock.read() - 600)
    const { keep, age } = run.next({ ...batchOf(1, 'end'), end: 'done' }, HOUR, 1_000)
    expect(age).toBeGreaterThanOrEqual(600)
    expect(keep).toBe(1_000 - age)
    expect(run.next(batchOf(1, 'end'), 10, 1_000).keep).toBe(10)
  })

  test('accepts the next batch only, and none after its maximum age', () => {
    const run = new WritableRun({ ...start, ...batchOf(1, 'a', 'b') }, 1, clock.read())
    expect([1, 2, 3, 4].map((first) => run.accepts(batchOf(first, 'x')))).toEqual([false, false, true, false])
    expect(new WritableRun(start, 1, clock.read() - HOUR).accepts(batchOf(1, 'x'))).toBe(false)
  })
})

describe('a run that is started during the close', () => {
  test('has no timer for its removal', async () => {
    const { client } = new FakeServer()
    const connection = new ConnectionMonitor(client.connection, () => {})
    const stored = deferred<number>()
    const stream = { spec: { maxAge: HOUR }, append: () => stored.promise }
    const writer = new RunWriter(stream as unknown as RunStream, connection)
    const started = writer.start('run', 'me', HOUR)
    writer.close()
    const schedule = vi.spyOn(clock, 'schedule')
    stored.resolve(1)
    expect(await started).toMatchObject({ isNew: true })
    expect(schedule).not.toHaveBeenCalled()
    connection.close()
  })
})

describe('checkpoints', () => {
  test('evict no event that is kept, few times, and keep at most twice as many events plus 64 batches', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 5_000 }), fc.integer({ min: 1, max: 9 }), (window, size) => {
        const checkpoints = new Checkpoints()
        let [oldest, evictions] = [1, 0]
        for (let batch = 1; batch <= 3_000; batch++) {
          const [first, last] = [(batch - 1) * size + 1, batch * size]
          checkpoints.add(first, batch)
          const before = checkpoints.evict(last - window, last)
          if (before === undefined) continue
          evictions += 1
          oldest = (before - 1) * size + 1
          expect(oldest).toBeLessThanOrEqual(Math.max(1, last - window))
        }
        expect(evictions).toBeLessThanOrEqual(3_000 / 64)
        expect(3_000 * size - oldest).toBeLessThanOrEqual(2 * window + 130 * size)
      }),
    )
  })
})

describe('the clock of the server', () => {
  test('is measured once for several calls, and again after a reset', async () => {
    let measured = 0
    const server = new ServerClock(async () => {
      measured += 1
      return 1_000_000 + clock.read()
    })
    const times = await Promise.all([server.now(), server.now()])
    for (const time of times) expect(Math.abs(time - clock.read() - 1_000_000)).toBeLessThan(1_000)
    await server.now()
    expect(measured).toBe(1)
    server.reset()
    await server.now()
    expect(measured).toBe(2)
  })

  test('is measured again after a failure', async () => {
    let isDown = true
    const server = new ServerClock(async () => {
      if (isDown) throw new Error('down')
      return 5
    })
    await expect(server.now()).rejects.toThrow('down')
    isDown = false
    await expect(server.now()).resolves.toBeGreaterThanOrEqual(5)
  })
})
