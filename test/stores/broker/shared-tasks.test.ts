import { describe, expect, it } from 'vitest'
import { SharedTasks } from '../../../src/stores/broker/shared-tasks.ts'
import { countHeld } from '../../support/garbage.ts'
import { deferred } from '../../support/serve.ts'
import { nextTurn } from '../../support/streams.ts'

const never = new AbortController().signal

/** Runs tasks that end when a test says so. */
function start(count: number) {
  const tasks = new SharedTasks<number>()
  const begun: number[] = []
  const ends = Array.from({ length: count }, () => deferred<void>())
  const aborts = Array.from({ length: count }, () => new AbortController())
  const results = ends.map(({ promise }, at) =>
    tasks.run(`key ${at}`, (aborts[at] as AbortController).signal, async () => {
      begun.push(at)
      await promise
      return at
    }),
  )
  return { tasks, begun, ends, aborts, results }
}

describe('shared tasks', () => {
  it('run eight at a time, in their order', async () => {
    const { tasks, begun, ends, results } = start(20)
    await nextTurn()
    expect([begun.length, tasks.running, tasks.waiting]).toEqual([8, 8, 20])
    for (const { resolve } of ends) resolve()
    expect(await Promise.all(results)).toEqual(Array.from({ length: 20 }, (_, at) => at))
    expect(begun).toEqual(Array.from({ length: 20 }, (_, at) => at))
    expect([tasks.running, tasks.waiting]).toEqual([0, 0])
  })

  it('that are aborted before they begin are not kept while others run', async () => {
    const { tasks, begun, aborts, results, ends } = start(20)
    await nextTurn()
    for (const abort of aborts.slice(8, 19)) abort.abort(new Error('disconnected'))
    for (const result of results.slice(8, 19)) await expect(result).rejects.toThrow('disconnected')
    expect(tasks.waiting).toBe(9)
    // The last one is next, because nothing is queued before it.
    ends[0]?.resolve()
    await results[0]
    await nextTurn()
    expect(begun.slice(8)).toEqual([19])
    for (const { resolve } of ends) resolve()
    expect(await results[19]).toBe(19)
  })

  it('run once for all clients with the same key, until the last one aborts', async () => {
    const tasks = new SharedTasks<string>()
    const signals: AbortSignal[] = []
    const work = (signal: AbortSignal) =>
      new Promise<string>((_, reject) => {
        signals.push(signal)
        signal.addEventListener('abort', () => reject(signal.reason))
      })
    const aborts = [new AbortController(), new AbortController()]
    const results = Promise.allSettled(aborts.map(({ signal }) => tasks.run('key', signal, work)))
    aborts[0]?.abort(1)
    expect(signals[0]?.aborted).toBe(false)
    aborts[1]?.abort(2)
    expect(signals.map(({ aborted }) => aborted)).toEqual([true])
    expect(await results).toMatchObject([{ reason: 1 }, { reason: 2 }])
    tasks.run('key', never, work).catch(() => {})
    expect(signals).toHaveLength(2)
    expect(signals[1]?.aborted).toBe(false)
  })

  it('hold nothing of a client that has aborted while another one waits', async () => {
    const tasks = new SharedTasks<string>()
    const { promise, resolve } = deferred<string>()
    const work = () => promise
    const other = tasks.run('key', never, work)
    const aborted = Array.from({ length: 20 }, () => {
      const abort = new AbortController()
      const result = tasks.run('key', abort.signal, work)
      result.catch(() => {})
      abort.abort()
      return new WeakRef(result)
    })
    expect(await countHeld(aborted)).toBeLessThan(2)
    resolve('done')
    expect(await other).toBe('done')
  })
})
