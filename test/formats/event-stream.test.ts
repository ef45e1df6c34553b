import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { SseEvent } from '../../src/event/event.ts'
import { encode, encodeComment } from '../../src/formats/event-stream.ts'
import { parseEvents } from '../support/parse.ts'
import { valuesOf } from '../support/process-errors.ts'
import { settled } from '../support/streams.ts'

const code = (name: string) => expect.objectContaining({ name: 'SseError', code: name })

describe('encode', () => {
  it('writes each field as its name, a colon, a space and the value (rule 4)', () => {
    expect(encode({ event: 'price', data: { value: 1 }, id: '7', retry: 500 })).toBe(
      'retry: 500\nid: 7\nevent: price\ndata: {"value":1}\n\n',
    )
  })

  it('keeps a leading space of the data (rule 4)', () => {
    expect(parseEvents(encode({ data: ' x' }))[0]?.data).toBe(' x')
  })

  it.each([
    ['CRLF', 'a\r\nb'],
    ['LF', 'a\nb'],
    ['a lone CR', 'a\rb'],
  ])('splits data at %s (rule 2)', (_name, data) => {
    expect(encode({ data })).toBe('data: a\ndata: b\n\n')
  })

  it('splits the text that a custom serializer returns (rule 2)', () => {
    expect(encode({ data: {} }, () => '{\r}')).toBe('data: {\ndata: }\n\n')
  })

  it.each([
    ['event', 'ERR_SSE_EVENT_NAME'],
    ['id', 'ERR_SSE_ID'],
  ])('rejects CR, LF and NUL in %s and names the field (rule 3)', (field, expected) => {
    for (const unsafe of ['\r', '\n', '\0', 'a\ndata: injected']) {
      const event = { data: 'x', [field]: unsafe } as SseEvent
      expect(() => encode(event)).toThrow(code(expected))
      expect(() => encode(event)).toThrow(field)
    }
  })

  it.each([1.5, -1, Number.NaN, Number.POSITIVE_INFINITY, 1e21, '1e3', '5', null, {}])(
    'rejects %s as retry (rule 5)',
    (retry) => {
      expect(() => encode({ data: 'x', retry } as SseEvent)).toThrow(code('ERR_SSE_RETRY'))
    },
  )

  it('writes retry in digits (rule 5)', () => {
    expect(encode({ data: '', retry: Number.MAX_SAFE_INTEGER })).toContain('retry: 9007199254740991\n')
    expect(encode({ data: '', retry: 0 })).toContain('retry: 0\n')
  })

  it('encodes empty data as an event that a client dispatches (rule 7)', () => {
    expect(parseEvents(encode({ data: '' }))).toMatchObject([{ data: '' }])
  })

  it('encodes an id without data as a checkpoint (rule 7)', () => {
    expect(encode({ id: '7' })).toBe('id: 7\n\n')
    expect(encode({ id: '7', data: undefined })).toBe('id: 7\n\n')
  })

  it('encodes a lone retry without a blank line after it (rule 11)', () => {
    expect(encode({ retry: 10 })).toBe('retry: 10\n')
  })

  it('distinguishes id 0, an empty id and no id (rule 8)', () => {
    expect(encode({ id: 0, data: '' })).toBe('id: 0\ndata: \n\n')
    expect(encode({ id: '0', data: '' })).toBe('id: 0\ndata: \n\n')
    expect(encode({ id: '', data: '' })).toBe('id: \ndata: \n\n')
    expect(encode({ data: '' })).toBe('data: \n\n')
  })

  it('rejects an event that no client would dispatch', () => {
    // @ts-expect-error: an event with a name has data.
    expect(() => encode({ event: 'done' })).toThrow(code('ERR_SSE_DATA'))
    expect(() => encode({})).toThrow(code('ERR_SSE_EVENT'))
  })

  it.each([undefined, null, 'text', 7, () => ({})])('rejects %s as an event', (event) => {
    expect(() => encode(event as unknown as SseEvent)).toThrow(code('ERR_SSE_EVENT'))
  })

  it.each([
    ['type', ' Did you mean event?'],
    ['delta', ''],
    ['choices', ''],
    ['Data', ''],
  ])('rejects an event with the key %s', (key, hint) => {
    const forChunk = ' Did you mean { data: object }?'
    for (const [event, expected] of [
      [{ [key]: 'x' }, forChunk],
      [{ [key]: 'x', data: 1 }, hint],
      [{ id: 'chatcmpl-1', [key]: [] }, forChunk],
    ] as const) {
      expect(() => encode(event)).toThrow(code('ERR_SSE_EVENT'))
      expect(() => encode(event)).toThrow(
        `Unknown key "${key}" in an event.${expected} Known keys: event, data, id, retry, key.`,
      )
    }
  })

  it('accepts an unknown key with the value undefined and inherited keys', () => {
    const event: object = Object.assign(Object.create({ type: 'price' }), { data: 1, other: undefined })
    expect(encode(event)).toBe('data: 1\n\n')
  })

  it('accepts an instance of a class with getters', () => {
    class Price {
      get event() {
        return 'price'
      }
      get data() {
        return 1
      }
    }
    expect(encode(new Price())).toBe('event: price\ndata: 1\n\n')
  })

  it('reads each field once', () => {
    const reads: string[] = []
    const event = new Proxy({} as SseEvent, {
      get: (_, name) => {
        reads.push(String(name))
        return { event: 'price', data: 1, id: 7, retry: 5, key: 'k' }[String(name)]
      },
    })
    expect(encode(event)).toBe('retry: 5\nid: 7\nevent: price\ndata: 1\n\n')
    expect(reads.sort()).toEqual(['data', 'event', 'id', 'key', 'retry'])
  })

  it('encodes the fields that it checked, although toJSON changes the event afterwards', () => {
    const toJSON = () => {
      event.event = 'a\ndata: forged'
      return 1
    }
    const event: SseEvent = { event: 'a', data: { toJSON } }
    expect(encode(event)).toBe('event: a\ndata: 1\n\n')
  })

  it('has a type that excludes the keys of other event formats', () => {
    // @ts-expect-error: the name of an event is `event`.
    expect(() => encode({ type: 'price', data: 1 })).toThrow(code('ERR_SSE_EVENT'))
    const chunk = { id: 'chatcmpl-1', choices: [{ delta: { content: 'a' } }] }
    // @ts-expect-error: a chunk of a language model is the data of an event.
    expect(() => encode(chunk)).toThrow(code('ERR_SSE_EVENT'))
    const part = { type: 'text-delta', id: '1', delta: 'a' }
    // @ts-expect-error: a part of a language model's response is the data of an event.
    expect(() => encode(part)).toThrow(code('ERR_SSE_EVENT'))
  })

  it('accepts ids of up to 1024 bytes, which a client can return (rule 43)', () => {
    for (const [longest, tooLong] of [
      ['x'.repeat(1024), 'x'.repeat(1025)],
      ['é'.repeat(512), 'é'.repeat(513)],
      ['🦆'.repeat(256), `${'🦆'.repeat(256)}x`],
      // A lone surrogate is sent as U+FFFD, of three bytes.
      ['\ud800'.repeat(341), '\ud800'.repeat(342)],
    ] as const) {
      expect(encode({ id: longest })).toBe(`id: ${longest}\n\n`)
      for (const event of [{ id: tooLong }, { id: tooLong, data: 1 }])
        expect(() => encode(event)).toThrow(code('ERR_SSE_ID'))
    }
  })

  it.each(['\x01', 'a\x1bb', '\x7f'])(
    'rejects the id %j, with which a server refuses the next request',
    (id) => {
      expect(() => encode({ id })).toThrow(code('ERR_SSE_ID'))
      expect(() => encode({ id })).toThrow(
        'id must be a number or a printable string of up to 1024 bytes, not "',
      )
    },
  )

  it.each(['a\tb', ' ', '~', '\x80', 'é', '🦆'])('accepts the id %j', (id) => {
    expect(encode({ id })).toBe(`id: ${id}\n\n`)
  })

  it.each([true, Number.NaN, null, {}, Symbol('id')])('rejects %s as an id', (id) => {
    expect(() => encode({ data: '', id } as unknown as SseEvent)).toThrow(code('ERR_SSE_ID'))
  })

  it('encodes strings unchanged and other values as JSON (rule 10)', () => {
    expect(encode({ data: '"text"' })).toBe('data: "text"\n\n')
    expect(encode({ data: null })).toBe('data: null\n\n')
    expect(encode({ data: 0 })).toBe('data: 0\n\n')
    expect(encode({ data: [false] })).toBe('data: [false]\n\n')
  })

  it('throws for data that JSON cannot represent (rule 10)', () => {
    const cycle: Record<string, unknown> = {}
    cycle.self = cycle
    for (const data of [cycle, 1n, () => {}, Symbol('data')]) {
      expect(() => encode({ data })).toThrow(code('ERR_SSE_DATA'))
    }
  })

  it.each<[string, unknown]>([
    ['a promise', Promise.resolve({ price: 1 })],
    // biome-ignore lint/suspicious/noThenProperty: a thenable, as query builders return it.
    ['a thenable', { then: () => {} }],
  ])('throws for data that is %s, also with a serializer that accepts it', (_, data) => {
    const error = expect.objectContaining({
      code: 'ERR_SSE_DATA',
      message: 'data is a promise. Await it first.',
    })
    expect(() => encode({ data })).toThrow(error)
    expect(() => encode({ data }, () => 'text')).toThrow(error)
  })

  it('sends an object whose property `then` is no function', () => {
    // biome-ignore lint/suspicious/noThenProperty: data of an application.
    expect(encode({ data: { then: 'x' } })).toBe('data: {"then":"x"}\n\n')
  })

  it('throws for an asynchronous serializer, whose rejection is not unhandled', async () => {
    const unhandled = valuesOf('unhandledRejection')
    const serialize = () => Promise.reject(new Error('late'))
    expect(() => encode({ data: {} }, serialize as never)).toThrow(
      expect.objectContaining({
        code: 'ERR_SSE_DATA',
        message: 'serialize must return a string, not a promise.',
      }),
    )
    await settled()
    expect(unhandled).toEqual([])
  })

  it('throws an error whose cause is the error of the serializer', () => {
    const cause = new Error('no')
    const serialize = () => {
      throw cause
    }
    expect(() => encode({ data: {} }, serialize)).toThrow(expect.objectContaining({ cause }))
  })

  it('omits an empty event name, which is the default name', () => {
    expect(encode({ event: '', data: '' })).toBe('data: \n\n')
  })

  // better-sse, @fastify/sse, express-sse and others; CVE-2026-22735, CVE-2026-35515, GHSA-4hxc-9384-m385.
  it('never encodes text as a separate field or event (CRLF injection)', () => {
    fc.assert(
      fc.property(fc.record({ event: hostileText, id: hostileText, data: hostileText }), (event) => {
        let text: string
        try {
          text = encode(event)
        } catch (error) {
          expect(`${event.event}${event.id}`).toMatch(/[\r\n\0]/)
          expect(error).toMatchObject({ name: 'SseError' })
          return
        }
        const [read, ...more] = parseEvents(text)
        expect(more).toEqual([])
        expect(read).toMatchObject({ data: event.data.replace(/\r\n|\r/g, '\n'), id: event.id })
        expect(read?.event ?? '').toBe(event.event)
      }),
      { numRuns: 2_000 },
    )
  })
})

// Text that is likely to break out of its field.
const hostileText = fc
  .array(
    fc.oneof(fc.constantFrom('\r', '\n', '\r\n', '\0', ':', ' ', 'data: x', 'id', 'é', '🦆'), fc.string()),
    {
      maxLength: 6,
    },
  )
  .map((parts) => parts.join(''))

describe('encodeComment', () => {
  it('returns one line without a blank line after it (rule 11)', () => {
    expect(encodeComment('note')).toBe(': note\n')
  })

  it('splits text at line ends, so that it cannot become an event (rule 3)', () => {
    expect(encodeComment('a\ndata: x\r\rb')).toBe(': a\n: data: x\n: \n: b\n')
  })
})
