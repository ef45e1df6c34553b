import { expect, it } from 'vitest'
import { entryOwnerOf } from '../../src/hub/entry-owner.ts'
import { ErrorReporter } from '../../src/hub/error-reporter.ts'
import { Hub } from '../../src/hub/hub.ts'
import { LogEntry } from '../../src/stores/log-entry.ts'

const ownerOf = (deserialize?: (text: string) => unknown) =>
  entryOwnerOf(deserialize, new ErrorReporter(new Hub()))
const entry = () => new LogEntry('1', { channel: 'a', data: '1' })

it('the owner of an entry decides its data and its key, also if the store has decoded it before', () => {
  const [one, other] = [entry(), entry()]
  expect([one.event.data, one.frame.key]).toEqual([1, other.frame.key])
  one._adopt(ownerOf(() => 'one'))
  other._adopt(ownerOf(() => 'other'))
  expect([one.event.data, other.event.data]).toEqual(['one', 'other'])
  expect(one.frame.key).not.toBe(other.frame.key)
})

it('an entry that its owner adopts again is not deserialized again', () => {
  let calls = 0
  const owner = ownerOf(() => ++calls)
  const adopted = entry()
  for (let i = 0; i < 3; i++) {
    adopted._adopt(owner)
    expect(adopted.event.data).toBe(1)
  }
})
