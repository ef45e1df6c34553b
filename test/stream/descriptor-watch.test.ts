import { beforeEach, expect, test, vi } from 'vitest'
import { DescriptorWatch } from '../../src/stream/descriptor-watch.ts'
import { settled } from '../support/streams.ts'

const LIMITS = `Limit                     Soft Limit           Hard Limit           Units
Max processes             63304                63304                processes
Max open files            1000                 4096                 files
`
const WARNED = Symbol.for('spillway.warned')

beforeEach(() => {
  const shared = globalThis as { [WARNED]?: Set<string> }
  delete shared[WARNED]
})

/** Opens streams of a process with open descriptors. Returns its warnings, and how often they were counted. */
async function open(
  streams: number,
  descriptors: (opened: number) => number | Promise<number>,
  limits = LIMITS,
) {
  const emit = vi.spyOn(process, 'emitWarning').mockImplementation(() => {})
  let [opened, counts] = [0, 0]
  const count = async () => {
    counts += 1
    return descriptors(opened)
  }
  const watch = new DescriptorWatch({ limits: async () => limits, count })
  for (; opened < streams; opened++) {
    watch.onOpen()
    await settled()
  }
  const warnings = emit.mock.calls.map(([message, options]) => [message, Object(options).code])
  emit.mockRestore()
  return { warnings, counts }
}

test('a process is warned once when it has four fifths of its descriptors', async () => {
  const { warnings } = await open(950, (opened) => 20 + opened)
  expect(warnings).toEqual([
    [expect.stringMatching(/^The process has 8\d\d open .* 1000\./), 'SPILLWAY_DESCRIPTORS'],
  ])
})

test('a process is warned whose descriptors are used up before they are counted', async () => {
  const fail = () => Promise.reject(Object.assign(new Error('too many open files'), { code: 'EMFILE' }))
  const { warnings } = await open(1, fail)
  expect(warnings).toEqual([[expect.stringMatching(/^The process has no free /), 'SPILLWAY_DESCRIPTORS']])
})

test('a process that opens many streams one after another is not warned', async () => {
  const { warnings } = await open(2_000, () => 30)
  expect(warnings).toEqual([])
})

test('a process is not warned whose limit was raised after it was first read', async () => {
  let limits = LIMITS
  const warned = vi.spyOn(process, 'emitWarning').mockImplementation(() => {})
  const count = async () => {
    limits = LIMITS.replace('1000', '4096')
    return 900
  }
  new DescriptorWatch({ limits: async () => limits, count }).onOpen()
  await settled()
  expect(warned).not.toHaveBeenCalled()
  warned.mockRestore()
})

test('descriptors are counted once for each twentieth of the limit', async () => {
  const { counts } = await open(1_000, () => 30)
  expect(counts).toBe(20)
})

test.each(['', 'Max open files            unlimited            unlimited            files\n'])(
  'a process without a limit is not warned: %j',
  async (limits) => {
    expect(await open(10, () => 1e9, limits)).toEqual({ warnings: [], counts: 0 })
  },
)

test('a system without these files, or another one, causes no error', async () => {
  new DescriptorWatch(undefined).onOpen()
  const fail = () => Promise.reject(new Error('ENOENT'))
  new DescriptorWatch({ limits: fail, count: fail }).onOpen()
  await settled()
})
