import { expect, test } from 'vitest'
import { BlockReader } from '../../../src/cli/doctor/probe/block-reader.ts'

function readAll(chunks: readonly Uint8Array[], lastId = '') {
  const seen: string[] = []
  const reader = new BlockReader(
    {
      onBlock: (id, hasId, event) =>
        seen.push(`block ${id} ${hasId} ${event && `${event.event}=${event.data}`}`),
      onBlockStart: () => seen.push('start'),
      onComment: (text) => seen.push(`comment ${text}`),
    },
    lastId,
  )
  for (const chunk of chunks) reader.read(chunk)
  return seen
}

const STREAM =
  '\uFEFF: hi\r\nid: 1\r\n\r\nevent: a\rdata: é\rdata:b\r\rretry: x\nid: n\0ul\ndata\n\n: end\n\ndata: cut'
const SEEN = [
  'comment hi',
  'start',
  'block 1 true undefined',
  'start',
  'block 1 false a=é\nb',
  'start',
  'block 1 false message=',
  'comment end',
  'block 1 false undefined',
  'start',
]

test('reads the same from a stream that is split at any byte', () => {
  const bytes = new TextEncoder().encode(STREAM)
  expect(readAll([bytes])).toEqual(SEEN)
  expect(readAll([...bytes].map((byte) => Uint8Array.of(byte)))).toEqual(SEEN)
})

test('begins with the last event id of the request', () => {
  expect(readAll([new TextEncoder().encode('data: a\n\n')], '7')).toEqual([
    'start',
    'block 7 false message=a',
  ])
})
