import { createParser as createReference } from 'eventsource-parser'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { ReceivedEvent } from '../../src/client/engine.ts'
import { createParser } from '../../src/client/parser.ts'

function parse(chunks: readonly string[], start = '') {
  const events: ReceivedEvent[] = []
  const fields: string[] = []
  let id = start
  const feed = createParser(
    start,
    (next, event) => {
      id = next
      if (event) events.push(event)
    },
    (name, value) => fields.push(`${name}=${value}`),
  )
  for (const chunk of chunks) feed(chunk)
  return { events, fields, id }
}

test('reads fields, several lines of data, and comments', () => {
  const text = 'id: 1\nevent: a\ndata: one\ndata:two\ndata\n\n: note\n:\nretry: 5\nother\n'
  expect(parse([text], '0')).toEqual({
    events: [{ event: 'a', id: '1', data: 'one\ntwo\n' }],
    fields: ['=note', '=', 'retry=5', 'other='],
    id: '1',
  })
})

test('keeps the last event id of the start until a block has another one', () => {
  const { events, id } = parse(
    ['data: a\n\nid: 2\n\ndata: b\n\nid: bad\0\ndata: c\n\nid\ndata: d\n\nid: 9\n'],
    '1',
  )
  expect(events.map((event) => event.id)).toEqual(['1', '2', '2', ''])
  expect(id).toBe('')
})

test('accepts each line end, split anywhere', () => {
  for (const end of ['\n', '\r', '\r\n']) {
    const text = `data: a${end}data: b${end}${end}data: c${end}${end}`
    for (let at = 0; at < text.length; at++) {
      const { events } = parse([text.slice(0, at), '', text.slice(at)])
      expect(events.map(({ data }) => data)).toEqual(['a\nb', 'c'])
    }
  }
})

test('dispatches the same events as eventsource-parser for any text and any chunks', () => {
  const part = fc.constantFrom(
    'data',
    'event',
    'id',
    ':',
    ': ',
    ' ',
    '\n',
    '\r\n',
    '\n\n',
    'x',
    'é',
    '{"a":1}',
  )
  fc.assert(
    fc.property(fc.array(fc.array(part).map((parts) => parts.join(''))), (chunks) => {
      const expected: unknown[] = []
      const reference = createReference({
        onEvent: ({ event, data }) => expected.push([event ?? 'message', data]),
      })
      for (const chunk of chunks) reference.feed(chunk)
      // It keeps a return at the end of a chunk until the next one.
      reference.feed('\n')
      const { events } = parse([...chunks, '\n'])
      expect(events.map(({ event, data }) => [event, data])).toEqual(expected)
    }),
  )
})

test('throws for data or a line that is too long, in one chunk or in many', () => {
  const half = 'x'.repeat(2 ** 23 + 1)
  const error = expect.objectContaining({ code: 'ERR_SSE_LENGTH', isFinal: true })
  expect(() => parse([`data: ${half}`, half])).toThrow(error)
  expect(() => parse([`data: ${half}\ndata: ${half}\n`])).toThrow(error)
})
