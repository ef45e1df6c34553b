import { createParser } from 'eventsource-parser'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { EventParser, type ReceivedEvent } from '../../src/testing/event-parser.ts'

interface Parsed {
  events: ReceivedEvent[]
  comments: string[]
  retries: number[]
  lastEventId: string
}

/** Parses a body that arrives in these chunks. */
function read(pieces: readonly Uint8Array[], lastEventId?: string): Parsed {
  const parsed = { events: [] as ReceivedEvent[], comments: [] as string[], retries: [] as number[] }
  const parser = new EventParser(
    {
      onEvent: (event) => parsed.events.push(event),
      onComment: (text) => parsed.comments.push(text),
      onRetry: (ms) => parsed.retries.push(ms),
    },
    lastEventId,
  )
  for (const piece of pieces) parser.feed(piece)
  return { ...parsed, lastEventId: parser.lastEventId }
}

const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text)
const readText = (text: string) => read([bytesOf(text)])

function cut(bytes: Uint8Array, positions: readonly number[]): Uint8Array[] {
  const inOrder = [...positions].map((position) => position % (bytes.length + 1)).sort((a, b) => a - b)
  return [0, ...inOrder].map((start, i) => bytes.subarray(start, inOrder[i] ?? bytes.length))
}

describe('EventParser', () => {
  // The four examples of the HTML standard.
  it.each<[string, string, ReceivedEvent[]]>([
    [
      'joins the data of several lines with LF',
      'data: YHOO\ndata: +2\ndata: 10\n\n',
      [message('YHOO\n+2\n10')],
    ],
    [
      'keeps an id, resets it, and discards an event without a blank line',
      ': test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event',
      [message('first event', '1'), message('second event')],
    ],
    [
      'dispatches empty data, and nothing for an unfinished event',
      'data\n\ndata\ndata\n\ndata:',
      [message(''), message('\n')],
    ],
    [
      'strips one space after the colon',
      'data:test\n\ndata: test\n\ndata:  x\n\n',
      ['test', 'test', ' x'].map((data) => message(data)),
    ],
  ])('%s', (_, body, events) => {
    expect(readText(body).events).toEqual(events)
  })

  it('applies a name to one event only and reads an empty name as message', () => {
    const names = readText('event: a\ndata\n\ndata\n\nevent:\ndata\n\nevent: b\n\ndata\n\n').events
    expect(names.map(({ event }) => event)).toEqual(['a', 'message', 'message', 'message'])
  })

  it('keeps an id until the next one, including an id without data', () => {
    const { events, lastEventId } = readText('id: 1\n\ndata\n\nid: 2\ndata\n\nid: 3\n\nid: 4\n')
    expect(events.map(({ id }) => id)).toEqual(['1', '2'])
    expect(lastEventId).toBe('3')
  })

  it('starts with the given last event id', () => {
    expect(read([bytesOf('data\n\n')], '7')).toMatchObject({ events: [{ id: '7' }], lastEventId: '7' })
  })

  it('ignores an id with NUL and a retry that is not only digits', () => {
    const { lastEventId, retries } = readText('id: 1\nid: 2\0\nretry: 1e3\nretry: -1\nretry\nretry: 30\n\n')
    expect({ lastEventId, retries }).toEqual({ lastEventId: '1', retries: [30] })
  })

  it('removes one BOM, even if it is split over two chunks', () => {
    const body = bytesOf('\uFEFF\uFEFFdata: a\ndata: b\n\n')
    for (let at = 0; at < body.length; at++) {
      expect(read(cut(body, [at])).events).toEqual([message('b')])
    }
    expect(readText('\uFEFFdata: a\n\n').events).toEqual([message('a')])
  })

  it('dispatches at a CR and reads a following LF as part of the same line end', () => {
    expect(readText('data: a\r\r').events).toEqual([message('a')])
    expect(read(['data: a\r', '\ndata: b\r', '\n', '\r', '\ndata\r'].map(bytesOf)).events).toEqual([
      message('a\nb'),
    ])
  })

  it('reports comments and ignores unknown fields', () => {
    expect(readText(':\n: a\n:b: c\nnonsense: d\nDATA: e\n data: f\n\n')).toMatchObject({
      comments: ['', 'a', 'b: c'],
      events: [],
    })
  })
})

describe('EventParser compared with eventsource-parser', () => {
  const word = fc.string({
    unit: fc.constantFrom('a', ' ', ':', '\0', '1', 'é', '🦆', '\uFEFF', '\u2028', '\r', '\n'),
  })
  const field = fc.tuple(
    fc.constantFrom('data', 'event', 'id', 'retry', '', 'other', 'dat', ' data'),
    fc.constantFrom('', ':', ': ', ':  '),
    word,
    fc.constantFrom('\n', '\r', '\r\n'),
  )
  const line = fc.oneof(
    { weight: 3, arbitrary: field.map((parts) => parts.join('')) },
    { weight: 2, arbitrary: fc.constantFrom('\n', '\r', '\r\n') },
    { weight: 1, arbitrary: word },
  )
  const body = fc.array(line, { maxLength: 30 }).map((lines) => bytesOf(lines.join('')))
  const places = fc.array(fc.nat(), { maxLength: 40 })

  /** Appends a complete line, because the two parsers treat a final CR differently. */
  const ended = (bytes: Uint8Array): Uint8Array => new Uint8Array([...bytes, ...bytesOf(':\n')])

  it('reads the same events, comments and retries from any bytes', () => {
    const anything = fc.oneof(
      { weight: 4, arbitrary: body },
      { weight: 1, arbitrary: fc.uint8Array({ maxLength: 60 }) },
    )
    fc.assert(
      fc.property(anything, places, (bytes, cuts) => {
        const { events, comments, retries } = read(cut(ended(bytes), cuts))
        const expected = oracle(ended(bytes))
        // eventsource-parser reports only the event's own id.
        const own = events.map((event, i) => ({
          ...event,
          id: expected.events[i]?.id === undefined ? undefined : event.id,
        }))
        expect({ events: own, comments, retries }).toEqual(expected)
      }),
      { numRuns: 3_000 },
    )
  })

  it('reads the same events wherever the chunks are split', () => {
    fc.assert(
      fc.property(body, places, (bytes, cuts) => {
        expect(read(cut(bytes, cuts))).toEqual(read([bytes]))
      }),
      { numRuns: 2_000 },
    )
  })

  function oracle(bytes: Uint8Array) {
    const parsed = {
      events: [] as Array<Omit<ReceivedEvent, 'id'> & { id: string | undefined }>,
      comments: [] as string[],
      retries: [] as number[],
    }
    const reference = createParser({
      onEvent: ({ event = 'message', data, id }) => parsed.events.push({ event, data, id }),
      onComment: (text) => parsed.comments.push(text),
      onRetry: (ms) => parsed.retries.push(ms),
    })
    reference.feed(new TextDecoder().decode(bytes))
    return parsed
  }
})

function message(data: string, id = ''): ReceivedEvent {
  return { event: 'message', data, id }
}
