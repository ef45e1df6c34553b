import { setImmediate } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import type { SseStream } from '../../src/stream/stream.ts'
import { holdClock } from '../../src/testing/hold-clock.ts'
import { deferred } from '../support/deferred.ts'
import { collectGarbage } from '../support/garbage.ts'
import { fakeStream, settled } from '../support/streams.ts'

const MiB = 2 ** 20
const COUNT = 5_000

let other: Buffer | undefined

/** Sends events of 100 bytes, while other code allocates small buffers. */
function sendMany(stream: SseStream): void {
  for (let i = 0; i < COUNT; i++) {
    stream.send({ data: `${i}`.padEnd(100) })
    for (let j = 0; j < 3; j++) other = Buffer.from('y'.repeat(1_500))
  }
}

/** Resolves with the bytes of all buffers in use. */
async function bytesOfBuffers(): Promise<number> {
  await setImmediate()
  collectGarbage()
  collectGarbage()
  return process.memoryUsage().external
}

// Each of the slices below would retain 8 KiB, in total 40 MiB.
describe('the memory of queued events of 100 bytes is about their bytes', () => {
  const expectSmall = async (before: number, stream: SseStream) => {
    const { bufferedBytes } = stream
    expect(bufferedBytes).toBeGreaterThan(0.4 * MiB)
    expect((await bytesOfBuffers()) - before).toBeLessThan(1.5 * bufferedBytes)
    expect(stream.bufferedBytes).toBe(bufferedBytes)
    expect(other?.length).toBe(1_500)
  }

  it('when they are sent while the kernel is full', async () => {
    const { stream, transport } = fakeStream()
    transport.isFull = true
    stream.send({ data: 'first' })
    await settled()
    const before = await bytesOfBuffers()
    sendMany(stream)
    await expectSmall(before, stream)
  })

  it('when the kernel becomes full after they were sent', async () => {
    const { stream, transport } = fakeStream()
    const before = await bytesOfBuffers()
    transport.isFull = true
    sendMany(stream)
    await settled()
    await expectSmall(before, stream)
  })

  it('when they conflate', async () => {
    const { stream, transport } = fakeStream({ overflow: 'conflate', maxBufferedEvents: COUNT })
    transport.isFull = true
    const before = await bytesOfBuffers()
    for (let i = 0; i < 2 * COUNT; i++) {
      stream.send({ key: `${i % COUNT}`, data: `${i}`.padEnd(100) })
      for (let j = 0; j < 3; j++) other = Buffer.from('y'.repeat(1_500))
      if (i === 0) await settled()
    }
    await expectSmall(before, stream)
  })

  it('when they follow a replay that waits', async () => {
    const source = deferred<undefined>()
    const { stream } = fakeStream({ replay: () => source.promise }, 'id')
    const before = await bytesOfBuffers()
    sendMany(stream)
    await expectSmall(before, stream)
    source.resolve(undefined)
    await settled()
    expect(stream.bufferedBytes).toBe(0)
  })

  it('when a rate limit delays them', async () => {
    await using _time = holdClock()
    const { stream } = fakeStream({ rateLimit: { eventsPerSecond: 1 } })
    const before = await bytesOfBuffers()
    sendMany(stream)
    await settled()
    await expectSmall(before, stream)
  })
})

it('Queued events keep their order and bytes when the kernel becomes full and accepts them later', async () => {
  const { stream, transport } = fakeStream()
  transport.isFull = true
  sendMany(stream)
  await settled()
  transport.isFull = false
  transport.drain()
  await settled()
  const sent = transport.all
    .join('')
    .match(/\d+(?= )/g)
    ?.map(Number)
  expect(sent).toEqual(Array.from({ length: COUNT }, (_, i) => i))
})
