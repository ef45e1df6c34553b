import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { eventStream } from '../../src/formats/event-stream.ts'
import { eventFrame } from '../../src/formats/format.ts'
import { ndjson } from '../../src/formats/ndjson.ts'
import { parseEvents } from '../support/parse.ts'

const encode = (event: object, serialize = JSON.stringify as (data: unknown) => string) =>
  eventFrame(event, serialize, ndjson).payload.toString()

/** The text of an event, as `spillway/client` computes it from the value of a line. */
const textOf = (data: unknown) => (typeof data === 'string' ? data : JSON.stringify(data))

describe('ndjson', () => {
  it('writes the fields event, id, data and retry in this order', () => {
    expect(encode({ retry: 5, data: { a: 1 }, id: 7, event: 'price' })).toBe(
      '{"event":"price","id":"7","data":{"a":1},"retry":5}\n',
    )
  })

  it('names an event without a name message', () => {
    expect(encode({ data: 1 })).toBe('{"event":"message","data":1}\n')
    expect(encode({ data: 1, event: '' })).toBe('{"event":"message","data":1}\n')
  })

  it('writes a position and a reconnection time as lines without an event', () => {
    expect(encode({ id: '7' })).toBe('{"id":"7"}\n')
    expect(encode({ retry: 5 })).toBe('{"retry":5}\n')
    expect(encode({ id: '', retry: 5 })).toBe('{"id":"","retry":5}\n')
    expect(ndjson.encodePosition('7')).toBe('{"id":"7"}\n')
  })

  it('writes a comment as an empty line, which parsers skip', () => {
    expect(ndjson.encodeComment('a\nb')).toBe('\n')
    expect(() => ndjson.encodeComment(7 as never)).toThrow(expect.objectContaining({ code: 'ERR_SSE_EVENT' }))
  })

  it.each([
    ['a string', '{"a":1}', '"{\\"a\\":1}"'],
    ['a number as text', '7', '"7"'],
    ['a number', 7, '7'],
    ['null', null, 'null'],
    ['a date, whose text is a JSON string', new Date(0), '"\\"1970-01-01T00:00:00.000Z\\""'],
    ['text with line ends (rule 9)', 'a\r\nb\rc', '"a\\nb\\nc"'],
    ['half of a surrogate pair (rule 9)', 'a\ud800', '"a\ufffd"'],
  ])('writes %s', (_what, data, expected) => {
    expect(encode({ data })).toBe(`{"event":"message","data":${expected}}\n`)
  })

  it('keeps serialized data on one line, and writes text that is no JSON as a string', () => {
    expect(encode({ data: {} }, () => '{\n "a": 1\r\n}')).toBe('{"event":"message","data":{  "a": 1 }}\n')
    expect(encode({ data: {} }, () => '<a>\n')).toBe('{"event":"message","data":"<a>\\n"}\n')
  })

  it('refuses the events that an event stream refuses', () => {
    for (const event of [{ event: 'a' }, {}, { data: 1, id: 'a\n' }, { data: 1n }, { data: 1, event: 'a\0' }])
      expect(() => encode(event)).toThrow(expect.objectContaining({ name: 'SseError' }))
  })

  it('carries the same name, id and text as an event stream', () => {
    const name = fc.constantFrom(undefined, 'price', 'é', '"quoted"')
    const id = fc.constantFrom(undefined, '7', 'a"b', 0)
    fc.assert(
      fc.property(fc.jsonValue(), name, id, (data, event, id) => {
        const line = encode({ data, event, id })
        const { data: value, ...fields } = JSON.parse(line)
        const [parsed] = parseEvents(
          eventFrame({ data, event, id }, JSON.stringify, eventStream).payload.toString(),
        )
        expect(line.indexOf('\n')).toBe(line.length - 1)
        expect([fields.event, fields.id ?? '', textOf(value)]).toEqual([
          parsed?.event || 'message',
          parsed?.id ?? '',
          parsed?.data,
        ])
      }),
    )
  })
})
