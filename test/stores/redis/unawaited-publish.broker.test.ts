import { describe, expect, it, onTestFinished } from 'vitest'
import { startRedis } from '../../support/brokers.ts'
import { CLIENTS, openHub } from '../../support/redis-hub.ts'

describe.each(CLIENTS)('unawaited publishes with a client of %s', (_name, client) => {
  it('emit `error`, and no unhandled rejection, while Redis is killed', async () => {
    const unhandled: unknown[] = []
    const record = (error: unknown) => void unhandled.push(error)
    process.on('unhandledRejection', record)
    onTestFinished(() => void process.off('unhandledRejection', record))
    const own = await startRedis()
    const hub = openHub({ publishTimeout: 200 }, client(own.port))
    const codes: unknown[] = []
    hub.on('error', (error, { channel }) => codes.push(`${channel} ${(error as { code?: string }).code}`))
    const news = hub.channel('news')
    await news.publish({ data: 'before' })
    const timer = setInterval(() => void news.publish({ data: 'unawaited' }), 5)
    onTestFinished(() => clearInterval(timer))

    await own.stop()
    await expect.poll(() => codes.length).toBeGreaterThan(20)
    await expect(news.publish({ data: 'awaited' })).rejects.toMatchObject({ code: 'ERR_SSE_STORE' })
    await own.start()

    await expect.poll(() => hub.state).toBe('ready')
    expect(await news.publish({ data: 'after' })).toMatch(/-/)
    expect(new Set(codes)).toEqual(new Set(['news ERR_SSE_STORE']))
    expect(unhandled).toEqual([])
  })
})
