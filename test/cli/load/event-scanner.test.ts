import fc from 'fast-check'
import { expect, test, vi } from 'vitest'
import { EventScanner } from '../../../src/cli/load/event-scanner.ts'
import { EventParser } from '../../../src/testing/event-parser.ts'

/** Returns the events, retries and the last event id of chunks. */
function scan(chunks: readonly Buffer[], lastEventId = '') {
  const events: unknown[] = []
  let heartbeats = 0
  const scanner = new EventScanner(
    {
      onEvent: (event, data, id) => events.push({ event, data, id }),
      onHeartbeat: () => {
        heartbeats += 1
      },
      onRetry: (ms) => events.push(ms),
    },
    lastEventId,
  )
  for (const chunk of chunks)
    scanner.feed(
      chunk,
      chunk.every((byte) => byte < 0x80),
    )
  return { events, id: scanner.lastEventId, heartbeats }
}

function parse(bytes: Buffer) {
  const events: unknown[] = []
  const parser = new EventParser({
    onEvent: ({ event, data, id }) => events.push({ event, data, id }),
    onComment: () => {},
    onRetry: (ms) => events.push(ms),
  })
  parser.feed(bytes)
  return { events, id: parser.lastEventId }
}

const PIECES = [
  ...['data', 'data:', 'data: a', 'data:  b', 'event: x', 'id: 1', 'id: é', 'id', 'id: \0', 'retry: 10'],
  ...[
    'retry: 1x',
    ': c',
    ':',
    '\n',
    '\n\n',
    '\r\n',
    '\r',
    ' ',
    'dat',
    'a: 😀',
    '\uFEFF',
    'other: 1',
    'data\n\n',
  ],
]

test('reads the same events as the parser of the test kit, wherever the chunks are split', () => {
  const streams = fc.array(fc.constantFrom(...PIECES), { maxLength: 30 })
  const cuts = fc.array(fc.nat(80), { maxLength: 10 })
  fc.assert(
    fc.property(streams, cuts, (pieces, positions) => {
      const bytes = Buffer.from(pieces.join(''))
      const sorted = [0, ...[...positions].sort((a, b) => a - b), bytes.length]
      const chunks = sorted.slice(1).map((end, i) => bytes.subarray(sorted[i], end))
      const { events, id } = scan(chunks)
      expect({ events, id }).toEqual(parse(bytes))
    }),
    { numRuns: 2000 },
  )
})

test('counts a comment and an id without data as heartbeats', () => {
  expect(scan([Buffer.from(':\n\nid: 7\n\n\n: b\ndata: 1\n\n')])).toEqual({
    events: [{ event: 'message', data: '1', id: '7' }],
    id: '7',
    heartbeats: 3,
  })
})

test('begins with the last event id of the connection before', () => {
  expect(scan([Buffer.from('data: 1\n\n')], '41').events).toEqual([{ event: 'message', data: '1', id: '41' }])
})

test('rejects a line that never ends', () => {
  const scanner = new EventScanner({ onEvent() {}, onHeartbeat() {}, onRetry() {} }, '')
  const chunk = Buffer.alloc(2 ** 23, 'a')
  scanner.feed(chunk, true)
  scanner.feed(chunk, true)
  expect(() => scanner.feed(chunk, true)).toThrow(RangeError)
})

test('a line is searched once, however many chunks it has', () => {
  const scanner = new EventScanner({ onEvent() {}, onHeartbeat() {}, onRetry() {} }, '')
  const chunk = Buffer.from('x'.repeat(16))
  const search = vi.spyOn(String.prototype, 'indexOf')
  const searched = () => search.mock.contexts.reduce((sum: number, text) => sum + String(text).length, 0)
  scanner.feed(Buffer.from('data: '), true)
  for (let i = 0; i < 100; i++) scanner.feed(chunk, true)
  scanner.feed(Buffer.from('\n\n'), true)
  const total = searched()
  search.mockRestore()
  expect(total).toBeLessThan(4 * 1600)
})
