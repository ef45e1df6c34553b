import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { CommandQueue } from '../../../src/stores/redis/command-queue.ts'
import { isPermanent, wasNotExecuted } from '../../../src/stores/redis/errors.ts'

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

const READONLY = new Error("READONLY You can't write against a read only replica.")
const soon = () => Date.now() + 1_000

/** A server that takes each command, after it has refused the first so many. */
function serverThat(refuses: number) {
  const taken: number[] = []
  const take = (command: number) => async () => {
    await Promise.resolve()
    if (refuses-- > 0) throw READONLY
    taken.push(command)
    return command
  }
  return { taken, take }
}

it('sends what was refused again before all that came later', async () => {
  const { taken, take } = serverThat(4)
  const line = new CommandQueue(() => true)
  const sent = [1, 2, 3].map((n) => line.send(soon(), false, take(n)))
  await vi.advanceTimersByTimeAsync(5)
  sent.push(line.send(soon(), false, take(4)))
  await vi.advanceTimersByTimeAsync(100)
  expect(await Promise.all(sent)).toEqual([1, 2, 3, 4])
  expect(taken).toEqual([1, 2, 3, 4])
})

it('keeps the order of what waits for a connection', async () => {
  let isReady = false
  const { taken, take } = serverThat(0)
  const line = new CommandQueue(() => isReady)
  const sent = [1, 2, 3].map((n) => line.send(soon(), false, take(n)))
  isReady = true
  line.drain()
  await Promise.all(sent)
  expect(taken).toEqual([1, 2, 3])
})

it('sends nothing again of which it is not known whether it was done, unless that may be', async () => {
  const line = new CommandQueue(() => true)
  let times = 0
  const lose = async () => {
    if (++times < 3) throw new Error('The socket closed unexpectedly')
    return 'done'
  }
  await expect(line.send(soon(), false, lose)).rejects.toMatchObject({ code: 'ERR_SSE_STORE' })
  const repeated = line.send(soon(), true, lose)
  await vi.advanceTimersByTimeAsync(50)
  expect([await repeated, times]).toEqual(['done', 3])
})

it('gives up at the deadline, and never sends it after that', async () => {
  let isReady = false
  const { taken, take } = serverThat(0)
  const line = new CommandQueue(() => isReady)
  const failed = expect(line.send(soon(), true, take(1))).rejects.toMatchObject({ code: 'ERR_SSE_STORE' })
  await vi.advanceTimersByTimeAsync(1_000)
  await failed
  isReady = true
  line.drain()
  await line.send(soon(), true, take(2))
  expect(taken).toEqual([2])
})

it('rejects what waits, and what comes later, when it is closed', async () => {
  const line = new CommandQueue(() => false)
  const closed = { code: 'ERR_SSE_STORE', message: 'The connection to the broker is closed.' }
  const failed = expect(line.send(soon(), true, async () => 1)).rejects.toMatchObject(closed)
  line.close()
  await failed
  await expect(line.send(soon(), true, async () => 1)).rejects.toMatchObject(closed)
  expect(vi.getTimerCount()).toBe(0)
})

it.each([
  'LOADING Redis is loading the dataset in memory',
  "READONLY You can't write against a read only replica.",
  "ERR Error running script (call to f_1): @user_script:4: @user_script: 4: -READONLY You can't write against a read only replica.",
  'ERR max number of clients reached',
])('knows that this may soon be otherwise: %s', (message) => {
  expect([wasNotExecuted(new Error(message)), isPermanent(new Error(message))]).toEqual([true, false])
})

it.each([
  'WRONGPASS invalid username-password pair or user is disabled.',
  "NOPERM User x has no permissions to run the 'xadd' command",
  'ERR Error running script (call to f_1): @user_script:2: WRONGTYPE Operation against a key',
])('knows that no second try mends this: %s', (message) => {
  expect([wasNotExecuted(new Error(message)), isPermanent(new Error(message))]).toEqual([false, true])
})
