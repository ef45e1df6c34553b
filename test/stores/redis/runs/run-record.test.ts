import { describe, expect, it } from 'vitest'
import {
  decodeEntry,
  decodeMessage,
  decodeState,
  encodeEvents,
} from '../../../../src/stores/redis/runs/run-record.ts'

const EPOCH = '1700000000000000'
const EVENTS = [
  { event: undefined, data: 'a', isText: true, retry: undefined },
  { event: 'tick', data: '{}', isText: false, retry: 5 },
]

const FOREIGN: Array<[name: string, record: string]> = [
  ['no JSON', '[x'],
  ['no events', '[]'],
  ['events that are no lists', '[null]'],
  ['data that is null', '[[null,1]]'],
  ['a number as data', '[[5,1]]'],
  ['no data', '[[]]'],
  ['no kind', '[["a"]]'],
  ['an unknown kind', '[["a",2]]'],
  ['an event name with line ends', JSON.stringify([['y', 1, 'evt\nid: evil\ndata: injected']])],
  ['a negative retry', '[["a",1,null,-1]]'],
  ['an invalid event after a valid one', '[["a",1],[5,1]]'],
]

describe('a message', () => {
  it.each([
    [`${EPOCH}-8 `, undefined],
    [`${EPOCH}-18446744073709551615 done 8 `, 'done'],
  ])('decodes to the batch that was published: %s', (head, end) => {
    const batch = { first: 7, events: EVENTS, end }
    expect(decodeMessage(head + encodeEvents(EVENTS))).toEqual({ epoch: EPOCH, batch })
  })

  it.each(FOREIGN)('is not decoded from %s', (_name, record) => {
    expect(decodeMessage(`${EPOCH}-2 ${record}`)).toBeUndefined()
  })

  it.each(['1', '9007199254740991', '9007199254740993', '18446744073709551615', '2 over 2', '2 done 0'])(
    'is not decoded with the number %s',
    (number) => {
      expect(decodeMessage(`${EPOCH}-${number} [["a",1],["b",1]]`)).toBeUndefined()
    },
  )
})

describe('an entry', () => {
  it('decodes to the batch that was stored', () => {
    const fields = ['batch', encodeEvents(EVENTS)]
    expect(decodeEntry([`${EPOCH}-8`, fields])).toEqual({ first: 7, events: EVENTS, end: undefined })
  })

  it.each(FOREIGN)('is not decoded from %s', (_name, record) => {
    expect(decodeEntry([`${EPOCH}-2`, ['batch', record]])).toBeUndefined()
  })
})

describe('a state', () => {
  it.each([
    [['0', '', ''], { last: 0, end: undefined }],
    [['18446744073709551615', 'done', '8'], { last: 8, end: 'done' }],
    [['9007199254740991', '', ''], undefined],
    [['18446744073709551615', '', ''], undefined],
    [['2', 'over', '2'], undefined],
    [['2', 'done', 'x'], undefined],
  ])('is decoded only with a number and an end that a store writes: %j', ([sequence, end, last], state) => {
    const decoded = decodeState([`${EPOCH}-${sequence}`, end, last, 'me'])
    expect(decoded).toEqual(state && { epoch: EPOCH, owner: 'me', ...state })
  })
})
