import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { CommandQueue } from '../../../src/stores/redis/command-queue.ts'
import { isPermanent, wasNotExecuted } from '../../../src/stores/redis/errors.ts'
import { countIterators } from '../../support/iterators.ts'

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

const READONLY = new Error("READONLY You can't write against a read only replica.")
const soon = () => performance.now() + 1_000

/** A server that rejects the first commands and executes all others. */
function serverThat(rejections: number) {
  const executed: number[] = []
  const execute = (command: number) => async () => {
    await Promise.resolve()
    if (rejections-- > 0) throw READONLY
    executed.push(command)
    return command
  }
  return { executed, execute }
}

it('sends a rejected command again before all later ones', async () => {
  const { executed, execute } = serverThat(4)
  const queue = new CommandQueue(() => true)
  const sent = [1, 2, 3].map((n) => queue.send(soon(), false, execute(n)))
  await vi.advanceTimersByTimeAsync(5)
  sent.push(queue.send(soon(), false, execute(4)))
  await vi.advanceTimersByTimeAsync(100)
  expect(await Promise.all(sent)).toEqual([1, 2, 3, 4])
  expect(executed).toEqual([1, 2, 3, 4])
})

it('keeps the order of commands that wait for a connection', async () => {
  let isReady = false
  const { executed, execute } = serverThat(0)
  const queue = new CommandQueue(() => isReady)
  const sent = [1, 2, 3].map((n) => queue.send(soon(), false, execute(n)))
  isReady = true
  queue.drain()
  await Promise.all(sent)
  expect(executed).toEqual([1, 2, 3])
})

it('sends a long burst without an iterator of the queue for each command', async () => {
  let isReady = false
  const { executed, execute } = serverThat(0)
  const queue = new CommandQueue(
    () => isReady,
    () => 'single',
  )
  const commands = Array.from({ length: 1_000 }, (_, n) => n)
  const sent = commands.map((n) => queue.send(soon(), false, execute(n)))
  isReady = true
  const iterators = countIterators()
  queue.drain()
  await Promise.all(sent)
  expect(iterators()).toBeLessThan(100)
  expect(executed).toEqual(commands)
})

it('sends a command that may have been executed again only if it is repeatable', async () => {
  const queue = new CommandQueue(() => true)
  let times = 0
  const lose = async () => {
    if (++times < 3) throw new Error('The socket closed unexpectedly')
    return 'done'
  }
  await expect(queue.send(soon(), false, lose)).rejects.toMatchObject({ code: 'ERR_SSE_STORE' })
  const repeated = queue.send(soon(), true, lose)
  await vi.advanceTimersByTimeAsync(50)
  expect([await repeated, times]).toEqual(['done', 3])
})

it.each([
  ['all', [4]],
  ['alike', [2, 3, 4]],
  ['single', [1, 2, 3, 4]],
] as const)('has only commands in flight together that are %s', async (pipelining, expected) => {
  const queue = new CommandQueue(
    () => true,
    () => pipelining,
  )
  let sent = 0
  const inFlight: number[] = []
  const work = async () => {
    sent += 1
    await Promise.resolve()
    inFlight.push(sent)
  }
  await Promise.all([true, true, false, true].map((isRepeatable) => queue.send(soon(), isRepeatable, work)))
  expect([...new Set(inFlight)]).toEqual(expected)
})

it('rejects a command at its deadline and does not send it later', async () => {
  let isReady = false
  const { executed, execute } = serverThat(0)
  const queue = new CommandQueue(() => isReady)
  const failed = expect(queue.send(soon(), true, execute(1))).rejects.toMatchObject({ code: 'ERR_SSE_STORE' })
  await vi.advanceTimersByTimeAsync(1_200)
  await failed
  isReady = true
  queue.drain()
  await queue.send(soon(), true, execute(2))
  expect(executed).toEqual([2])
})

it('rejects waiting and later commands once it is closed', async () => {
  const queue = new CommandQueue(() => false)
  const closed = { code: 'ERR_SSE_STORE', message: 'The connection to the broker is closed.' }
  const failed = expect(queue.send(soon(), true, async () => 1)).rejects.toMatchObject(closed)
  queue.close()
  await failed
  await expect(queue.send(soon(), true, async () => 1)).rejects.toMatchObject(closed)
  expect(vi.getTimerCount()).toBe(0)
})

it.each([0, 1, 2, 3, 4, 5])(
  'rejects a command whose failure is %i microtasks before the close',
  async (count) => {
    const queue = new CommandQueue(() => true)
    const outcome = vi.fn()
    queue.send(soon(), true, () => Promise.reject(READONLY)).catch(outcome)
    for (let i = 0; i < count; i++) await null
    queue.close()
    for (let i = 0; i < 10; i++) await null
    expect(outcome).toHaveBeenCalledWith(expect.objectContaining({ code: 'ERR_SSE_STORE' }))
  },
)

it.each([
  'LOADING Redis is loading the dataset in memory',
  "READONLY You can't write against a read only replica.",
  "ERR Error running script (call to f_1): @user_script:4: @user_script: 4: -READONLY You can't write against a read only replica.",
  'ERR max number of clients reached',
  'MOVED 3999 127.0.0.1:6381',
  'ASK 3999 127.0.0.1:6381',
  'TRYAGAIN Multiple keys request during rehashing of slot',
])('retries after the error %s', (message) => {
  expect([wasNotExecuted(new Error(message)), isPermanent(new Error(message))]).toEqual([true, false])
})

it.each([
  'MISCONF Errors writing to the AOF file: No space left on device',
  "OOM command not allowed when used memory > 'maxmemory'.",
  'NOREPLICAS Not enough good replicas to write.',
  "ERR Error running script (call to f_1): @user_script:4: @user_script: 4: -OOM command not allowed when used memory > 'maxmemory'.",
  'ERR Error running script (call to f_1): @user_script:4: @user_script: 4: -MISCONF Errors writing to the AOF file: No space left on device',
])('reports that a server cannot write at present: %s', (message) => {
  expect([wasNotExecuted(new Error(message)), isPermanent(new Error(message))]).toEqual([false, false])
})

it.each([
  'WRONGPASS invalid username-password pair or user is disabled.',
  "NOPERM User x has no permissions to run the 'xadd' command",
  'ERR Error running script (call to f_1): @user_script:2: WRONGTYPE Operation against a key',
])('does not retry after the error %s', (message) => {
  expect([wasNotExecuted(new Error(message)), isPermanent(new Error(message))]).toEqual([false, true])
})
