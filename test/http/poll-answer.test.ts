import { describe, expect, it } from 'vitest'
import { resolveOptions } from '../../src/http/options.ts'
import { LongPoll } from '../../src/http/poll-answer.ts'
import type { SseStream } from '../../src/stream/stream.ts'

const lines = [1, 2].map((id) => Buffer.from(`{"event":"message","id":"${id}","data":${id}}\n`))
const stream = { lastEventId: '0', _resumePoint: { id: '0' }, closeReason: 'poll' } as SseStream

/** Returns the number of events in the response to a poll that a cache may keep, unless it is private. */
async function eventsOf(pageSize: number, isPrivate: boolean): Promise<number> {
  const request = { method: 'GET', isAuthorized: false, acceptEncoding: '', ifNoneMatch: '', cursor: '0' }
  const settings = { ...resolveOptions(undefined), poll: { hold: 1_000, collect: 0, pageSize } }
  const poll = new LongPoll(request, settings)
  poll.isPublic = true
  const { body } = await poll.answer(stream, lines, { hasEncoding: false, isPrivate })
  return JSON.parse(`${body}`).events.length
}

describe('LongPoll', () => {
  it('limits only the pages that a cache may keep, each by its own page size, within one turn', async () => {
    const counts = [eventsOf(2, true), eventsOf(1, false), eventsOf(2, false), eventsOf(1, true)]
    expect(await Promise.all(counts)).toEqual([2, 1, 2, 2])
  })
})
