import { setTimeout } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { get } from '../support/client.ts'
import { Served } from './served.ts'

const KEEP_ALIVE = { headers: { connection: 'keep-alive' } }

describe('a process that calls gracefulShutdown', () => {
  it.each(['SIGTERM', 'SIGINT'] as const)(
    'ends by itself after %s although a client is connected',
    async (signal) => {
      const served = await Served.start('http')
      const client = await get('http', served.port, { path: '/events', ...KEEP_ALIVE })
      await client.until('data: ')
      served.process.kill(signal)
      expect(await served.exit()).toBe(0)
      expect(await client.ended).toBe('end')
      expect(client.body).toMatch(/\nretry: \d+\n$/)
      expect(served.lines.slice(1)).toEqual(['closing', 'onClosed'])
    },
  )

  it('ends by a signal that comes before the server listens', async () => {
    const served = await Served.start('http', { delay: 600_000 }, { LISTEN: 'never' })
    served.process.kill('SIGTERM')
    expect(await served.exit()).toBe(0)
    expect(served.lines).toEqual(['not listening', 'closing', 'onClosed'])
  })

  it.each([
    [true, 'SIGTERM'],
    [false, 0],
  ])('ends at once after a second signal, with `exit` %s', async (exit, code) => {
    const served = await Served.start('http', { exit })
    const client = await get('http', served.port, { path: '/plain' })
    await client.until('data: ')
    served.process.kill('SIGTERM')
    await served.printed(() => served.lines.includes('closing'))
    // Within 0.1 s, the signal counts as the same one.
    await setTimeout(200)
    served.process.kill('SIGTERM')
    expect(await served.exit()).toBe(code)
    expect(await client.ended).toBe('cut')
  })

  it('is not ended at once by a signal that comes twice, as with `npm start` in a terminal', async () => {
    const served = await Served.start('http')
    const client = await get('http', served.port, { path: '/events' })
    await client.until('data: ')
    served.process.kill('SIGINT')
    served.process.kill('SIGTERM')
    expect(await served.exit()).toBe(0)
    expect(await client.ended).toBe('end')
  })

  it('ends with code 1 after an error, although the application keeps a timer', async () => {
    const served = await Served.start('failing', { exit: true })
    served.process.kill('SIGTERM')
    expect(await served.exit()).toBe(1)
  })
})
