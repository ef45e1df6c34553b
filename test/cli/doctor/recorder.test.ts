import { once } from 'node:events'
import { gzipSync } from 'node:zlib'
import { describe, expect, test } from 'vitest'
import { Recorder } from '../../../src/cli/doctor/probe/recorder.ts'

const MIB = 1024 * 1024

function record(headers: ReadonlyArray<readonly [string, string]> = []) {
  const changes = new EventTarget()
  const request = {
    url: new URL('http://localhost/'),
    method: 'GET',
    headers: {},
    body: undefined,
    isInsecure: false,
  }
  const recorder = new Recorder('HTTP/1.1', request, () => changes.dispatchEvent(new Event('change')))
  recorder.respond(200, headers)
  const until = async (condition: () => boolean) => {
    while (!condition()) await once(changes, 'change')
  }
  return { recorder, until }
}

describe('a recorder', () => {
  test('joins the values of a header', () => {
    const { recorder } = record([
      ['Vary', 'Origin'],
      ['VARY', 'Accept'],
    ])
    expect(recorder.headers.get('vary')).toBe('Origin, Accept')
  })

  test('reads a compressed stream at each flush, and to its end', async () => {
    const { recorder, until } = record([['Content-Encoding', 'gzip']])
    recorder.receive(gzipSync(': a\n\nid: 1\ndata: b\n\n'))
    await until(() => recorder.events.length > 0)
    recorder.finish()
    // The connection is closed before the last bytes are decoded.
    recorder.cut('aborted', 'ECONNRESET')
    await until(() => recorder.isDone)
    expect(recorder).toMatchObject({ end: 'ended', error: undefined, comments: [{ text: 'a' }] })
  })

  test('is cut by bytes that are not encoded as the header states', async () => {
    const { recorder, until } = record([['Content-Encoding', 'gzip']])
    recorder.receive(Buffer.from('data: plain text\n\n'))
    await until(() => recorder.isDone)
    expect(recorder).toMatchObject({ end: 'cut', error: 'content encoding: incorrect header check' })
  })

  test('ends before a body, or a queue of compressed bytes, fills the memory', () => {
    for (const headers of [[], [['Content-Encoding', 'gzip']] as const]) {
      const { recorder } = record(headers)
      for (let i = 0; i < 9; i++) recorder.receive(Buffer.alloc(MIB))
      expect(recorder).toMatchObject({ end: 'open', isDone: true })
    }
  })

  test('ends when a compressed body is too large', async () => {
    const { recorder, until } = record([['Content-Encoding', 'gzip']])
    recorder.receive(gzipSync(Buffer.alloc(32 * MIB)))
    await until(() => recorder.isDone)
    expect(recorder).toMatchObject({ end: 'open', isDone: true })
    expect(recorder.arrivals.reduce((total, { bytes }) => total + bytes.length, 0)).toBeLessThan(9 * MIB)
  })

  test('ends at ten thousand events', () => {
    const { recorder } = record()
    for (let i = 0; i < 20; i++) recorder.receive(Buffer.from('data: a\n\n'.repeat(1_000)))
    expect(recorder).toMatchObject({ end: 'open', isDone: true })
    expect(recorder.events.length).toBeLessThan(12_000)
  })

  test.each(['\n', '\r', 'retry: 1\n', 'x\n', 'data\n'])('ends at a hundred thousand lines %j', (line) => {
    const { recorder } = record()
    for (let i = 0; i < 20; i++) recorder.receive(Buffer.from(line.repeat(10_000)))
    expect(recorder).toMatchObject({ end: 'open', isDone: true })
    const lines = Buffer.concat(recorder.arrivals.map(({ bytes }) => bytes))
      .toString()
      .split(line)
    expect(lines.length).toBeLessThan(130_000)
  })
})
