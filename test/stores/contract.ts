import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { eventFrame, serialized } from '../../src/formats/event-stream.ts'
import type { EventStore, LogEntry, StoreListener } from '../../src/stores/event-store.ts'

export interface LogTraits {
  /** Whether another process that appends to the same can read on from a place of this one. */
  readonly sharesPlaces: boolean
  /** A log of another process on what the last one was opened on. Without one, there is none. */
  readonly openAnother?: () => EventStore
}

/** What every log keeps, whatever holds its entries. `open` makes a log that keeps at least 100 small entries. */
export function logContract(
  name: string,
  open: () => EventStore | Promise<EventStore>,
  { sharesPlaces, openAnother }: LogTraits = { sharesPlaces: false },
): void {
  describe(name, () => {
    let log: EventStore
    let told: LogEntry[]

    beforeEach(async () => {
      told = []
      log = await open()
      log.open(follower((entry) => told.push(entry)))
      await log.ready
    })

    // What it tells late is nothing that the next test is told.
    afterEach(() => log.close())

    /** Resolves when the follower has been told of so many entries: a broker may take a moment longer than the append. */
    async function toldOf(entries: number): Promise<unknown[]> {
      await expect.poll(() => told.length, { interval: 1 }).toBeGreaterThanOrEqual(entries)
      return told.map((entry) => entry.event.data)
    }

    /** Everything of some channels after a place, page by page, as a subscription reads it. */
    async function readAll(channels: string[], after: string, limit = 3, from = log): Promise<unknown[]> {
      const data: unknown[] = []
      for (let place = after; ; ) {
        const answer = from.read(channels, place, limit)
        const page = await answer
        if (page === 'gap') return [...data, 'gap']
        const { entries, upTo } = page
        if (entries.length === 0 && page === answer) return data
        expect(entries.length).toBeLessThanOrEqual(limit)
        data.push(...entries.map((entry) => entry.event.data))
        place = upTo
      }
    }

    it('tells of every entry once, in order, with its id', async () => {
      const ids: string[] = []
      for (let i = 0; i < 10; i++) ids.push(await log.append('a', { event: 'tick', data: i }))
      expect(new Set(ids).size).toBe(10)
      expect(await toldOf(10)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
      expect(told.map((entry) => entry.id)).toEqual(ids)
      expect(told[3]?.frame.payload.toString()).toBe(`id: ${ids[3]}\nevent: tick\ndata: 3\n\n`)
      expect(log.position).toBe(ids.at(-1))
    })

    it('keeps the order of appends that were not waited for', async () => {
      await Promise.all(Array.from({ length: 20 }, (_, i) => log.append('a', { data: i })))
      expect(await toldOf(20)).toEqual([...Array(20).keys()])
    })

    it('reads a channel once that is named twice', async () => {
      const start = log.position
      for (let i = 0; i < 4; i++) await log.append('a', { data: i })
      await toldOf(4)
      expect(await readAll(['a', 'b', 'a'], start)).toEqual([0, 1, 2, 3])
    })

    if (openAnother) {
      it(`has places that mean ${sharesPlaces ? 'the same' : 'nothing'} to another process`, async () => {
        const other = openAnother()
        other.open(follower())
        await other.ready
        const id = await log.append('a', { data: 1 })
        await log.append('a', { data: 2 })
        await toldOf(2)
        if (sharesPlaces) await expect.poll(() => other.position).toBe(log.position)
        expect(await readAll(['a'], id, 3, other)).toEqual(sharesPlaces ? [2] : ['gap'])
        await other.close()
      })
    }

    it('gives ids that are short and safe in a header (rule 12)', async () => {
      const id = await log.append('a', { data: 1 })
      expect(id).toMatch(/^[\w.:-]{1,64}$/)
      expect(log.position).toMatch(/^[\w.:-]{1,64}$/)
    })

    it('reads strictly after a place, in pages, in the order of the log (rule 25)', async () => {
      const start = log.position
      const ids: string[] = []
      for (let i = 0; i < 12; i++) ids.push(await log.append(i % 2 ? 'odd' : 'even', { data: i }))
      await toldOf(12)
      expect(await readAll(['even', 'odd'], start)).toEqual([...Array(12).keys()])
      expect(await readAll(['odd', 'even'], ids[8] as string)).toEqual([9, 10, 11])
      expect(await readAll(['odd'], ids[4] as string)).toEqual([5, 7, 9, 11])
      expect(await readAll(['none'], start)).toEqual([])
      expect(await readAll(['even'], log.position)).toEqual([])
    })

    it.each([
      '',
      '0',
      '-1',
      'x'.repeat(1000),
      '\u0000',
      '*',
      '$',
      '+',
      '99999999999999999999-0',
      '1-1-1',
      'é',
      "'; --",
    ])('calls %j a gap, and never throws (rules 24, 25)', async (id) => {
      await log.append('a', { data: 1 })
      expect(await log.read(['a'], id, 10)).toBe('gap')
    })

    it('calls a place of the future and one written otherwise a gap (rule 25)', async () => {
      const id = await log.append('a', { data: 1 })
      const next = id.replace(/\d+$/, (digits) => String(Number(digits) + 1))
      expect(await log.read(['a'], next, 10)).toBe('gap')
      expect(await log.read(['a'], ` ${id}`, 10)).toBe('gap')
      expect(await log.read(['a'], `${id}.5`, 10)).toBe('gap')
      expect(await log.read(['a'], id.replace(/\d+$/, '0.5'), 10)).toBe('gap')
      expect(await log.read(['a'], id.replace(/\d+$/, '1e-7'), 10)).toBe('gap')
      expect(await log.read(['a'], id.replace(/(\d+)$/, '0$1'), 10)).toBe('gap')
      for (const digits of ['-1', '-0', '', '1e0', '0x1', '9'.repeat(17), '9'.repeat(400)]) {
        expect(await log.read(['a'], id.replace(/\d+$/, digits), 10)).toBe('gap')
      }
    })

    it('appends the same idempotency key once', async () => {
      const [first, second] = await Promise.all([
        log.append('a', { data: 1 }, { idempotencyKey: 'k' }),
        log.append('a', { data: 2 }, { idempotencyKey: 'k' }),
      ])
      const third = await log.append('a', { data: 3 }, { idempotencyKey: 'k' })
      const other = await log.append('a', { data: 4 }, { idempotencyKey: 'other' })
      expect([second, third]).toEqual([first, first])
      expect(other).not.toBe(first)
      expect(await toldOf(2)).toEqual([1, 4])
    })

    it('takes the same idempotency key on two channels for two', async () => {
      const first = await log.append('a', { data: 1 }, { idempotencyKey: 'k' })
      const other = await log.append('b', { data: 2 }, { idempotencyKey: 'k' })
      expect(other).not.toBe(first)
      expect(await toldOf(2)).toEqual([1, 2])
      expect(await log.append('b', { data: 3 }, { idempotencyKey: 'k' })).toBe(other)
      expect(await log.append('a', { data: 3 }, { idempotencyKey: 'k' })).toBe(first)
    })

    it('appends nothing that cannot be encoded', async () => {
      const before = log.position
      await expect(log.append('a', { data: 1n })).rejects.toMatchObject({ code: 'ERR_SSE_DATA' })
      await expect(log.append('a', { event: '\n', data: 1 }, { idempotencyKey: 'k' })).rejects.toMatchObject({
        code: 'ERR_SSE_EVENT_NAME',
      })
      expect(log.position).toBe(before)
      await log.append('a', { data: 2 }, { idempotencyKey: 'k' })
      expect(await toldOf(1)).toEqual([2])
    })
  })
}

function follower(onEntry: (entry: LogEntry) => void = () => {}): StoreListener {
  return {
    entry: (id, channel, event) => {
      const whole = { ...event, id }
      return { id, channel, event: whole, frame: eventFrame(whole, JSON.stringify) }
    },
    serialize: (data) => serialized(data, JSON.stringify),
    onEntry,
    onLoss: () => {},
  }
}
