import fc from 'fast-check'
import { expect, it } from 'vitest'
import { OrderedMap } from '../src/ordered-map.ts'

type Step = ['set' | 'delete', number] | ['oldest' | 'shift' | 'clear', 0]

const key = fc.nat({ max: 20 })
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 8, arbitrary: fc.tuple(fc.constantFrom('set' as const, 'delete' as const), key) },
  { weight: 4, arbitrary: fc.constantFrom<Step>(['oldest', 0], ['shift', 0]) },
  { weight: 1, arbitrary: fc.constant<Step>(['clear', 0]) },
)

it('OrderedMap returns the first of its keys as the oldest, for any sequence of calls', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 300 }), (steps) => {
      const map = new OrderedMap<number, number>()
      for (const [at, [name, number]] of steps.entries()) {
        if (name === 'set') map.set(number, at)
        else if (name === 'delete') map.delete(number)
        else if (name === 'clear') map.clear()
        else {
          const [first] = map.keys()
          expect(name === 'shift' ? map.shift() : map.oldest).toBe(first)
        }
      }
      expect(map.oldest).toBe([...map.keys()][0])
    }),
  )
})
