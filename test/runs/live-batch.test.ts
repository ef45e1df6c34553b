import { describe, expect, test } from 'vitest'
import { eventStream } from '../../src/formats/event-stream.ts'
import { ndjson } from '../../src/formats/ndjson.ts'
import { LiveBatch } from '../../src/runs/live-batch.ts'
import type { StoredBatch } from '../../src/stores/run-store.ts'

const run = { id: 'a', epoch: 'x' }
const stored = (first: number, texts: string[], place?: string): StoredBatch => ({
  first,
  events: texts.map((data) => ({ data, isText: true })),
  place,
})
const textOf = (batch: LiveBatch) => batch.in(eventStream).joined.payload.toString()

describe('A batch of a run for live subscribers', () => {
  test('has the events after a number, of several stored batches', () => {
    const batch = new LiveBatch(run, stored(3, ['c', 'd']), 3)
    expect(batch.add({ ...stored(5, ['e']), end: 'done' }, 4)).toBe(true)
    expect(batch).toMatchObject({ first: 4, last: 5, end: 'done', position: { number: 5 } })
    expect(textOf(batch)).toBe('id: x-4\ndata: d\n\nid: x-5\ndata: e\n\n')
    expect(batch.in(eventStream).joined.events).toBe(2)
  })

  test('has a frame for each event, with the value that the event updates', () => {
    const { frames, joined } = new LiveBatch(run, stored(1, ['a', 'b']), 0).in(eventStream)
    expect(frames.map(({ payload, events, key }) => [payload.toString(), events, key])).toEqual([
      ['id: x-1\ndata: a\n\n', 1, 'a\nmessage'],
      ['id: x-2\ndata: b\n\n', 1, 'a\nmessage'],
    ])
    expect(Buffer.concat(frames.map(({ payload }) => payload))).toEqual(joined.payload)
  })

  test('is encoded once for each format', () => {
    const batch = new LiveBatch(run, stored(1, ['a']), 0)
    expect(batch.in(eventStream)).toBe(batch.in(eventStream))
    expect(batch.in(eventStream).joined).toBe(batch.in(eventStream).joined)
    expect(batch.in(ndjson).joined.payload.toString()).toContain('"x-1"')
  })

  test('has only stored batches with the same place, which is part of its ids', () => {
    const batch = new LiveBatch(run, stored(1, ['a'], '7'), 0)
    expect(batch.add(stored(2, ['b'], '8'), 1)).toBe(false)
    expect(batch.position).toEqual({ number: 1, place: '7' })
    expect(textOf(batch)).toBe('id: x-1-7\ndata: a\n\n')
  })

  test('is full at about what goes into one write', () => {
    const batch = new LiveBatch(run, stored(1, ['']), 0)
    let last = 1
    while (batch.add(stored(last + 1, ['']), last)) last += 1
    expect(batch.last).toBe(last)
    expect(textOf(batch).length).toBeLessThan(16 * 1024)
    const large = new LiveBatch(run, stored(1, ['x'.repeat(16 * 1024)]), 0)
    expect(large.add(stored(2, ['']), 1)).toBe(false)
  })
})
