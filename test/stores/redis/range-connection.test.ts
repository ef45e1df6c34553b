import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { ConnectionListener, RedisConnection } from '../../../src/stores/redis/connection.ts'
import { RangeConnection } from '../../../src/stores/redis/range-connection.ts'
import { countIterators } from '../../support/iterators.ts'
import { nextTurn } from '../../support/streams.ts'
import { countTimersOf } from '../../support/timers.ts'

interface Call {
  readonly command: string
  resolve(reply: unknown): void
  reject(error: Error): void
}

class FakeConnection implements RedisConnection {
  isReady = false
  reconnects = 0
  isClosed = false
  readonly calls: Call[] = []
  listener!: ConnectionListener

  accept(): void {
    this.isReady = true
    this.listener.onReady()
  }

  command(command: string): Promise<unknown> {
    return new Promise((resolve, reject) => void this.calls.push({ command, resolve, reject }))
  }

  async subscribe(): Promise<void> {}
  async unsubscribe(): Promise<void> {}

  reconnect(): void {
    this.reconnects += 1
  }

  close(): void {
    this.isClosed = true
    for (const { reject } of this.calls) reject(new Error('Connection is closed.'))
  }
}

// Less than the shortest time that a reply may take.
const PUBLISH_TIMEOUT = 100
const RESPONSE_TIMEOUT = 5_000
const never = new AbortController().signal

function opened({ isReady = true } = {}) {
  const server = new FakeConnection()
  let opens = 0
  const connection = new RangeConnection((listener) => {
    opens += 1
    server.listener = listener
    server.isReady = isReady
    return server
  }, PUBLISH_TIMEOUT)
  const read = (command: string, signal = never) => connection.read(signal, (ask) => ask(command))
  return { server, connection, read, opens: () => opens }
}

const commandsOf = ({ calls }: FakeConnection) => calls.map(({ command }) => command)

describe('a connection of range reads', () => {
  it('is opened with the first read', async () => {
    const { server, read, opens } = opened({ isReady: false })
    expect(opens()).toBe(0)
    const reads = [read('a'), read('b')]
    expect([opens(), commandsOf(server)]).toEqual([1, []])
    server.accept()
    expect(commandsOf(server)).toEqual(['a', 'b'])
    for (const { command, resolve } of server.calls) resolve(`reply to ${command}`)
    expect(await Promise.all(reads)).toEqual(['reply to a', 'reply to b'])
  })

  it('has at most eight commands in flight, those of aborted reads included', async () => {
    const { server, read } = opened()
    const abort = new AbortController()
    const aborted = Array.from({ length: 8 }, (_, i) => read(`aborted ${i}`, abort.signal).catch(String))
    const live = read('live')
    abort.abort(new Error('gone'))
    expect(await Promise.all(aborted)).toEqual(Array.from({ length: 8 }, () => 'Error: gone'))
    expect(commandsOf(server)).not.toContain('live')
    server.calls[0]?.resolve('late')
    await nextTurn()
    expect(commandsOf(server).at(-1)).toBe('live')
    server.calls.at(-1)?.resolve('reply')
    expect(await live).toBe('reply')
  })

  it('sends many waiting reads without an iterator for each', async () => {
    const { server, read } = opened({ isReady: false })
    const reads = Array.from({ length: 1_000 }, (_, i) => read(`${i}`))
    const iterators = countIterators()
    server.accept()
    for (let sent = 0; sent < 1_000; ) {
      const calls = server.calls.slice(sent)
      sent += calls.length
      for (const { command, resolve } of calls) resolve(command)
      await nextTurn()
    }
    expect(await Promise.all(reads)).toEqual(commandsOf(server))
    expect(iterators()).toBeLessThan(100)
  })

  it('sends nothing for a read that is aborted while it waits, and leaves no timer', async () => {
    const { server, read } = opened({ isReady: false })
    const abort = new AbortController()
    const timers = await countTimersOf(async () => {
      const waiting = read('a', abort.signal)
      abort.abort(new Error('gone'))
      await expect(waiting).rejects.toThrow('gone')
      await expect(read('b', abort.signal)).rejects.toThrow('gone')
    })
    server.accept()
    await nextTurn()
    expect([timers, commandsOf(server)]).toEqual([0, []])
  })

  it('leaves no timer if a read is aborted before it is sent again', async () => {
    const { server, read } = opened()
    const abort = new AbortController()
    const timers = await countTimersOf(async () => {
      const failed = read('a', abort.signal)
      server.calls[0]?.reject(new Error('LOADING Redis is loading the dataset in memory'))
      await nextTurn()
      abort.abort(new Error('gone'))
      await expect(failed).rejects.toThrow('gone')
    })
    expect([timers, commandsOf(server)]).toEqual([0, ['a']])
  })

  it('rejects reads when it is closed, and leaves no timer', async () => {
    const { server, connection, read } = opened()
    const timers = await countTimersOf(async () => {
      const sent = read('a')
      connection.close()
      await expect(sent).rejects.toMatchObject({ code: 'ERR_SSE_STORE' })
      await expect(read('b')).rejects.toMatchObject({ code: 'ERR_SSE_STORE' })
    })
    expect([timers, server.isClosed, commandsOf(server)]).toEqual([0, true, ['a']])
  })

  it('rejects waiting reads if no retry can connect it', async () => {
    const { server, read } = opened({ isReady: false })
    const waiting = read('a')
    server.listener.onError(new Error('connect ECONNREFUSED'))
    server.listener.onError(new Error('WRONGPASS invalid username-password pair'))
    await expect(waiting).rejects.toMatchObject({
      code: 'ERR_SSE_STORE',
      message: expect.stringContaining('WRONGPASS'),
    })
  })
})

describe('the replies to range reads', () => {
  beforeEach(() => void vi.useFakeTimers())
  afterEach(() => void vi.useRealTimers())

  it('are late only if none arrives in time', async () => {
    const { server, read } = opened()
    const reads = [read('a'), read('b'), read('c')]
    for (const [i, { resolve }] of server.calls.entries()) {
      await vi.advanceTimersByTimeAsync(RESPONSE_TIMEOUT - 1)
      resolve(i)
      await vi.advanceTimersByTimeAsync(0)
    }
    expect(await Promise.all(reads)).toEqual([0, 1, 2])
    expect([server.reconnects, vi.getTimerCount()]).toEqual([0, 0])
  })

  it('replace the connection if they are late, also those of aborted reads', async () => {
    const { server, read } = opened()
    const abort = new AbortController()
    const aborted = read('aborted', abort.signal).catch(String)
    const live = read('live')
    abort.abort(new Error('gone'))
    await aborted
    await vi.advanceTimersByTimeAsync(2 * RESPONSE_TIMEOUT)
    expect([server.reconnects, commandsOf(server)]).toEqual([1, ['aborted', 'live', 'live']])
    server.calls.at(-1)?.resolve('reply')
    expect(await live).toBe('reply')
    expect(vi.getTimerCount()).toBe(0)
  })

  it('that are transient errors are requested again, less and less often', async () => {
    const { server, read } = opened()
    const reply = read('a')
    const delays: number[] = []
    for (let attempt = 0; attempt < 7; attempt++) {
      const before = Date.now()
      server.calls.at(-1)?.reject(new Error('BUSY Redis is busy running a script'))
      while (server.calls.length === attempt + 1) await vi.advanceTimersByTimeAsync(10)
      delays.push(Date.now() - before)
    }
    for (const [i, delay] of delays.entries()) {
      expect(delay).toBeGreaterThanOrEqual(Math.min(50 * 2 ** i, 2_000))
      expect(delay).toBeLessThanOrEqual(Math.min(100 * 2 ** i, 4_000) + 10)
    }
    server.calls.at(-1)?.resolve('reply')
    expect(await reply).toBe('reply')
  })
})
