import { describe, expect, it } from 'vitest'
import { PollPage } from '../../src/formats/poll-page.ts'

const page = (lines: readonly string[], limits?: { events: number; bytes: number }) =>
  new PollPage(Buffer.from(lines.map((line) => `${line}\n`).join('')), limits)

const event = (id: number) => `{"event":"message","id":"${id}","data":${id}}`

describe('PollPage', () => {
  it('collects the events and skips heartbeats and positions', () => {
    const { lastEventId, isEmpty, isFull } = page(['', event(1), '{"id":"5"}', '', event(7), ''])
    expect({ lastEventId, isEmpty, isFull }).toEqual({ lastEventId: '7', isEmpty: false, isFull: false })
    expect(
      page([event(1), '', event(7)])
        .body('7', 0)
        .toString(),
    ).toBe(`{"events":[${event(1)},${event(7)}],"lastEventId":"7","retry":0}\n`)
  })

  it('takes the cursor from the last line that has an id', () => {
    expect(page([event(1), '{"id":"5"}']).lastEventId).toBe('5')
    expect(page([event(1), '{"event":"message","data":1}']).lastEventId).toBe('1')
    expect(page([event(1), '{"id":""}']).lastEventId).toBe('')
    expect(page(['{"event":"message","data":{"id":"no"}}', '']).lastEventId).toBeUndefined()
  })

  it('is empty without events', () => {
    expect(page([]).isEmpty).toBe(true)
    expect(page(['', '{"id":"5"}']).isEmpty).toBe(true)
    expect(JSON.parse(page([]).body(undefined, 7).toString())).toEqual({
      events: [],
      lastEventId: null,
      retry: 7,
    })
  })

  it('returns the same buffer for the same cursor and time, and another body for others', () => {
    const one = page([event(1)])
    expect(one.body('1', 0)).toBe(one.body('1', 0))
    expect(one.body('1', 0).toString()).toContain('"lastEventId":"1","retry":0}')
    expect(one.body('1', 7).toString()).toContain('"lastEventId":"1","retry":7}')
    expect(one.body('5', 7).toString()).toContain('"lastEventId":"5","retry":7}')
  })

  it('returns the last reconnection time that is no part of an event', () => {
    expect(page([event(1), '{"retry":500}']).retry).toBe(500)
    expect(page(['{"retry":1}', '{"retry":500}', event(1), '{"id":"5"}']).retry).toBe(500)
    expect(page(['{"event":"message","data":1,"retry":500}']).retry).toBeUndefined()
  })

  it('is the same page however many events follow its limit', () => {
    const all = [1, 2, 3, 4].map(event)
    const [short, long] = [all.slice(0, 2), all].map((lines) => page(lines, { events: 2, bytes: 1e6 }))
    expect(short?.isFull).toBe(true)
    expect([long?.lastEventId, long?.body('2', 0).toString()]).toEqual(['2', short?.body('2', 0).toString()])
    const byBytes = page(all, { events: 100, bytes: event(1).length + 2 })
    expect([byBytes.isFull, byBytes.lastEventId]).toEqual([true, '2'])
    expect(page(all, { events: 5, bytes: 1e6 }).isFull).toBe(false)
    // The stream stops after so many bytes, with the ends of lines.
    const bytes = 4 * (event(1).length + 1)
    expect(page(all, { events: 100, bytes }).isFull).toBe(true)
  })
})
