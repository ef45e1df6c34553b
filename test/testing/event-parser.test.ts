import { createParser } from 'eventsource-parser'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { EventParser, type ReceivedEvent } from '../../src/testing/event-parser.ts'

interface Told {
  events: ReceivedEvent[]
  comments: string[]
  retries: number[]
  lastEventId: string
}

/** What the parser tells of a body that comes in these pieces. */
function read(pieces: readonly Uint8Array[], lastEventId?: string): Told {
  const told = { events: [] as ReceivedEvent[], comments: [] as string[], retries: [] as number[] }
  const parser = new EventParser(
    {
      onEvent: (event) => told.events.push(event),
      onComment: (text) => told.comments.push(text),
      onRetry: (ms) => told.retries.push(ms),
    },
    lastEventId,
  )
  for (const piece of pieces) parser.feed(piece)
  return { ...told, lastEventId: parser.lastEventId }
}

const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text)
const readText = (text: string) => read([bytesOf(text)])

function cut(bytes: Uint8Array, places: readonly number[]): Uint8Array[] {
  const inOrder = [...places].map((place) => place % (bytes.length + 1)).sort((a, b) => a - b)
  return [0, ...inOrder].map((start, i) => bytes.subarray(start, inOrder[i] ?? bytes.length))
}

describe('EventParser', () => {
  // The four examples of the HTML standard.
  it.each<[string, string, ReceivedEvent[]]>([
    ['joins data of several lines', 'data: YHOO\ndata: +2\ndata: 10\n\n', [message('YHOO\n+2\n10')]],
    [
      'remembers an id, resets it, and discards what has no blank line',
      ': test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event',
      [message('first event', '1'), message('second event')],
    ],
    [
      'dispatches empty data, and nothing without data',
      'data\n\ndata\ndata\n\ndata:',
      [message(''), message('\n')],
    ],
    [
      'strips one space',
      'data:test\n\ndata: test\n\ndata:  x\n\n',
      ['test', 'test', ' x'].map((data) => message(data)),
    ],
  ])('%s', (_, body, events) => {
    expect(readText(body).events).toEqual(events)
  })

  it('gives a name to one event only, and takes an empty one for none', () => {
    const names = readText('event: a\ndata\n\ndata\n\nevent:\ndata\n\nevent: b\n\ndata\n\n').events
    expect(names.map(({ event }) => event)).toEqual(['a', 'message', 'message', 'message'])
  })

  it('keeps an id until the next, also one that came without data', () => {
    const { events, lastEventId } = readText('id: 1\n\ndata\n\nid: 2\ndata\n\nid: 3\n\nid: 4\n')
    expect(events.map(({ id }) => id)).toEqual(['1', '2'])
    expect(lastEventId).toBe('3')
  })

  it('begins with the id of an earlier connection', () => {
    expect(read([bytesOf('data\n\n')], '7')).toMatchObject({ events: [{ id: '7' }], lastEventId: '7' })
  })

  it('ignores an id with NUL, and a retry that is not all digits', () => {
    const { lastEventId, retries } = readText('id: 1\nid: 2\0\nretry: 1e3\nretry: -1\nretry\nretry: 30\n\n')
    expect({ lastEventId, retries }).toEqual({ lastEventId: '1', retries: [30] })
  })

  it('takes one BOM away, also when it comes in pieces', () => {
    const body = bytesOf('\uFEFF\uFEFFdata: a\ndata: b\n\n')
    for (let at = 0; at < body.length; at++) {
      expect(read(cut(body, [at])).events).toEqual([message('b')])
    }
    expect(readText('\uFEFFdata: a\n\n').events).toEqual([message('a')])
  })

  it('dispatches at a CR, and takes the LF that follows for a part of it', () => {
    expect(readText('data: a\r\r').events).toEqual([message('a')])
    expect(read(['data: a\r', '\ndata: b\r', '\n', '\r', '\ndata\r'].map(bytesOf)).events).toEqual([
      message('a\nb'),
    ])
  })

  it('tells comments, and ignores other fields', () => {
    expect(readText(':\n: a\n:b: c\nnonsense: d\nDATA: e\n data: f\n\n')).toMatchObject({
      comments: ['', 'a', 'b: c'],
      events: [],
    })
  })
})

describe('EventParser and eventsource-parser', () => {
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

  /** Its own end of a line, so that a CR at the end is no question. */
  const ended = (bytes: Uint8Array): Uint8Array => new Uint8Array([...bytes, ...bytesOf(':\n')])

  it('read the same events, comments and retries, whatever the bytes', () => {
    const anything = fc.oneof(
      { weight: 4, arbitrary: body },
      { weight: 1, arbitrary: fc.uint8Array({ maxLength: 60 }) },
    )
    fc.assert(
      fc.property(anything, places, (bytes, cuts) => {
        const { events, comments, retries } = read(cut(ended(bytes), cuts))
        const told = oracle(ended(bytes))
        // It gives each event its own id, and no other.
        const mine = events.map((event, i) => ({
          ...event,
          id: told.events[i]?.id === undefined ? undefined : event.id,
        }))
        expect({ events: mine, comments, retries }).toEqual(told)
      }),
      { numRuns: 3_000 },
    )
  })

  it('read the same wherever the bytes are cut', () => {
    fc.assert(
      fc.property(body, places, (bytes, cuts) => {
        expect(read(cut(bytes, cuts))).toEqual(read([bytes]))
      }),
      { numRuns: 2_000 },
    )
  })

  function oracle(bytes: Uint8Array) {
    const told = {
      events: [] as Array<Omit<ReceivedEvent, 'id'> & { id: string | undefined }>,
      comments: [] as string[],
      retries: [] as number[],
    }
    const parser = createParser({
      onEvent: ({ event = 'message', data, id }) => told.events.push({ event, data, id }),
      onComment: (text) => told.comments.push(text),
      onRetry: (ms) => told.retries.push(ms),
    })
    parser.feed(new TextDecoder().decode(bytes))
    return told
  }
})

function message(data: string, id = ''): ReceivedEvent {
  return { event: 'message', data, id }
}
