import { setImmediate as turnEnd } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { PageCache } from '../../src/http/page-cache.ts'

const line = (id: number) => Buffer.from(`{"event":"message","id":"${id}","data":${id}}\n`)
const first = line(1)
const second = line(2)
const limits = (events: number) => ({ events, bytes: 1000 })

describe('PageCache', () => {
  it('returns one page for the same buffers within a turn', async () => {
    const cache = new PageCache()
    const page = cache.pageOf([first, second], undefined)
    expect(page.lastEventId).toBe('2')
    expect(cache.pageOf([first, second], undefined)).toBe(page)
    expect(page.body('2', 0)).toBe(page.body('2', 0))
    await turnEnd()
    expect(cache.pageOf([first, second], undefined)).not.toBe(page)
  })

  it('returns another page for other buffers, and for other limits', () => {
    const cache = new PageCache()
    const page = cache.pageOf([first], undefined)
    expect(cache.pageOf([line(1)], undefined)).not.toBe(page)
    expect(cache.pageOf([first, second], undefined).lastEventId).toBe('2')
    expect(cache.pageOf([first], undefined).lastEventId).toBe('1')
    expect(cache.pageOf([first], limits(1)).isFull).toBe(true)
    expect(cache.pageOf([first], limits(2)).isFull).toBe(false)
    expect(cache.pageOf([first], undefined).isFull).toBe(false)
  })

  it('returns another body for another cursor or time', () => {
    const page = new PageCache().pageOf([first], undefined)
    expect(page.body('1', 0).toString()).toContain('"lastEventId":"1","retry":0}')
    expect(page.body('1', 7).toString()).toContain('"lastEventId":"1","retry":7}')
    expect(page.body('5', 7).toString()).toContain('"lastEventId":"5","retry":7}')
  })
})
