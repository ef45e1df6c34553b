import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Frame } from '../../src/event/frame.ts'
import { anyKey, ConflatedQueue, RingQueue, takeBatch } from '../../src/stream/frame-queue.ts'
import { countIterators } from '../support/iterators.ts'

const frame = (text: string, key?: string) => Frame.of(text, 1, key)
const drain = (queue: { shift(): Frame | undefined }) => {
  const texts: string[] = []
  for (let next = queue.shift(); next; next = queue.shift()) texts.push(next.payload.toString())
  return texts
}

describe('RingQueue', () => {
  it('behaves like an array for any sequence of push and shift', () => {
    fc.assert(
      fc.property(
        fc.array(fc.oneof(fc.constant('shift'), fc.string({ minLength: 1 })), { maxLength: 200 }),
        (steps) => {
          const queue = new RingQueue()
          const model: string[] = []
          for (const step of steps) {
            if (step === 'shift') expect(queue.shift()?.payload.toString()).toBe(model.shift())
            else {
              queue.push(frame(step))
              model.push(step)
            }
            expect(queue.length).toBe(model.length)
            expect(queue.bytes).toBe(Buffer.byteLength(model.join('')))
            expect(queue.peek()?.payload.toString()).toBe(model[0])
          }
        },
      ),
    )
  })
})

describe('ConflatedQueue', () => {
  it('keeps the newest frame of each key, in the order of the newest', () => {
    const backlog = new RingQueue()
    for (const [text, key] of ['a1:a', 'b1:b', 'x:', 'a2:a', 'y:'].map((each) => each.split(':'))) {
      backlog.push(frame(text as string, key || undefined))
    }
    const queue = backlog.conflate((each) => each.key ?? each)
    expect(queue).toMatchObject({ length: 4, bytes: 6 })
    queue.push(frame('b2', 'b'))
    expect(queue).toMatchObject({ length: 4, bytes: 6 })
    expect(drain(queue)).toEqual(['x', 'a2', 'y', 'b2'])
    expect(queue).toMatchObject({ length: 0, bytes: 0 })
  })

  it('is drained without an iterator for each frame', () => {
    const queue = new ConflatedQueue(anyKey, new RingQueue())
    const count = 10_000
    for (let i = 0; i < count; i++) queue.push(frame('x', `${i}`))
    const iterators = countIterators()
    let bytes = 0
    for (let next = takeBatch(queue, 100, count); next; next = takeBatch(queue, 100, count))
      bytes += next.size
    expect(bytes).toBe(count)
    expect(iterators()).toBeLessThan(10)
  })
})

describe('takeBatch', () => {
  const queueOf = (...frames: Frame[]) => {
    const queue = new RingQueue()
    for (const each of frames) queue.push(each)
    return queue
  }

  it('returns a single frame itself', () => {
    const only = frame('a')
    expect(takeBatch(queueOf(only), 10, 100)).toBe(only)
  })

  it('joins as many frames as fit, and returns a larger frame alone', () => {
    const queue = queueOf(frame('aaaa'), frame('bbbb'), frame('cc'), frame('d'.repeat(20)))
    expect(takeBatch(queue, 8, 100)?.payload.toString()).toBe('aaaabbbb')
    expect(takeBatch(queue, 8, 100)?.payload.toString()).toBe('cc')
    expect(takeBatch(queue, 8, 100)?.size).toBe(20)
    expect(takeBatch(queue, 8, 100)).toBeUndefined()
  })

  it('returns the same joined frame for queues with the same frames', () => {
    const [a, b, c] = [frame('a'), frame('b'), frame('c')]
    const first = takeBatch(queueOf(a, b, c), 100, 100)
    expect(takeBatch(queueOf(a, b, c), 100, 100)).toBe(first)
    expect(takeBatch(queueOf(a, b), 100, 100)?.payload.toString()).toBe('ab')
    expect(takeBatch(queueOf(a, b, c), 100, 100)?.payload.toString()).toBe('abc')
    expect(takeBatch(queueOf(a, c), 100, 100)?.payload.toString()).toBe('ac')
    expect(takeBatch(queueOf(a, b, c), 100, 100)?.payload.toString()).toBe('abc')
  })
})
