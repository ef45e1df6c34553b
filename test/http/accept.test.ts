import fc from 'fast-check'
import Negotiator from 'negotiator'
import { describe, expect, it } from 'vitest'
import { acceptsOnly } from '../../src/http/accept.ts'
import { type NodeRequest, resumePointOf } from '../../src/http/last-event-id.ts'

const acceptsEventStream = (accept: string | null | undefined, negotiate: boolean) =>
  acceptsOnly(accept, ['text/event-stream'], negotiate)

describe('acceptsOnly (rule 18)', () => {
  it.each([
    undefined,
    null,
    '',
    '*/*',
    'text/event-stream',
    'text/event-stream; charset=utf-8',
    'text/event-stream;q=0.1',
    // openai, @anthropic-ai/sdk, groq-sdk and @langchain/openai
    'application/json',
    'text/html',
    'text/*;q=0, */*;q=0',
    // graphql-sse rejected this one.
    'text/event-stream, */*',
    'text/event-stream;q=0, text/event-stream',
    'x-text/event-stream;q=0, text/event-streams;q=0',
    'text/event-stream;q=zero',
  ])('returns true for %s', (accept) => {
    expect(acceptsEventStream(accept, false)).toBe(true)
  })

  it.each([
    'text/event-stream;q=0',
    'text/event-stream;q=0, */*',
    'application/json,TEXT/Event-Stream ; charset=utf-8; Q = 0.000',
  ])('returns false for %s', (accept) => {
    expect(acceptsEventStream(accept, false)).toBe(false)
  })

  it('never throws for any input (rule 24)', () => {
    fc.assert(
      fc.property(
        fc.string(),
        fc.boolean(),
        (accept, negotiate) => typeof acceptsEventStream(accept, negotiate) === 'boolean',
      ),
    )
  })

  it('reads a long header in linear time (rule 24)', () => {
    const began = performance.now()
    for (const part of [' ', ',', ', ', ';', ';q=', 'text/event-stream ', 'text/event-stream;q=0,'])
      acceptsEventStream(part.repeat(100_000), false)
    expect(performance.now() - began).toBeLessThan(20_000)
  })
})

describe('acceptsOnly with negotiate (rule 18)', () => {
  it.each([
    'text/event-stream',
    ' TEXT/Event-Stream ',
    'text/event-stream; charset=utf-8',
    'text/event-stream;q=0.001',
    'text/html, text/event-stream;q=0.5',
    'application/json,text/event-stream',
    '*/*;q=0, text/event-stream',
    'text/event-stream;q=0, text/event-stream',
  ])('returns true for %s', (accept) => {
    expect(acceptsEventStream(accept, true)).toBe(true)
  })

  it.each([
    undefined,
    '',
    '*/*',
    'text/*',
    // axios
    'application/json, text/plain, */*',
    // the navigation of a browser
    'text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8',
    'text/event-stream;q=0',
    'text/event-stream ; charset=utf-8 ; Q=0.000, */*',
    'text/event-streams',
    'text/event-stream-2, x-text/event-stream',
  ])('returns false for %s', (accept) => {
    expect(acceptsEventStream(accept, true)).toBe(false)
  })

  it('decides like the negotiator package for types without a wildcard', () => {
    const type = fc.constantFrom('text/event-stream', 'Text/Event-Stream', 'text/html', 'text', '')
    const weight = fc.constantFrom('', ';q=0', '; Q=0.5', ';q=1', ';q = 0.000', ';q=', ';')
    const range = fc.tuple(type, weight).map((parts) => parts.join(''))
    const accept = fc.array(range, { minLength: 1 })
    fc.assert(
      fc.property(accept, fc.constantFrom(',', ', ', ' ,\t'), (ranges, comma) => {
        const header = ranges.join(comma)
        const reference = new Negotiator({ headers: { accept: header } })
        const isAccepted = reference.mediaTypes(['text/event-stream']).length > 0
        expect(acceptsEventStream(header, true)).toBe(isAccepted)
      }),
      { numRuns: 2000 },
    )
  })
})

describe('resumePointOf', () => {
  const request = (header: string | undefined, url = '/') =>
    ({ headers: header === undefined ? {} : { 'last-event-id': header }, url }) as unknown as NodeRequest
  const latin1 = (text: string) => Buffer.from(text, 'utf8').toString('latin1')

  it('reads the header', () => {
    expect(resumePointOf(request('41'))).toEqual({ id: '41' })
  })

  it('decodes the header as UTF-8, which Node provides as latin1 (rule 22)', () => {
    expect(resumePointOf(request(latin1('é🦆\ufeff')))).toEqual({ id: 'é🦆\ufeff' })
    expect(resumePointOf(request(latin1('\ufeffa')))).toEqual({ id: '\ufeffa' })
  })

  it.each([undefined, ''])('returns new for the header %j (rule 22)', (header) => {
    expect(resumePointOf(request(header))).toBe('new')
  })

  it('distinguishes the id 0 from no id (rule 8)', () => {
    expect(resumePointOf(request('0'))).toEqual({ id: '0' })
  })

  it.each([
    ['over the limit', 'x'.repeat(1025)],
    ['not UTF-8', '\xff\xfe'],
    ['with a NUL', 'a\0b'],
  ])('returns unreadable for an id %s (rules 22, 25)', (_name, header) => {
    expect(resumePointOf(request(header))).toBe('unreadable')
  })

  it('accepts an id of exactly 1024 bytes', () => {
    expect(resumePointOf(request('x'.repeat(1024)))).toEqual({ id: 'x'.repeat(1024) })
  })

  it('reads the query if there is no header (rule 23)', () => {
    expect(resumePointOf(request(undefined, '/a?b=1&lastEventId=4%201'))).toEqual({ id: '4 1' })
    expect(resumePointOf(request('', '/?lastEventId=41'))).toEqual({ id: '41' })
    expect(resumePointOf(request(undefined, '/?lastEventId=a?b'))).toEqual({ id: 'a?b' })
    expect(resumePointOf(request(undefined, '/?lastEventId='))).toBe('new')
    expect(resumePointOf(request(undefined, '/a&lastEventId=5'))).toBe('new')
  })

  it('prefers the header to the query (rule 23)', () => {
    expect(resumePointOf(request('2', '/?lastEventId=1'))).toEqual({ id: '2' })
    expect(resumePointOf(request('\xff', '/?lastEventId=1'))).toBe('unreadable')
  })

  it('returns unreadable for an invalid id in the query', () => {
    expect(resumePointOf(request(undefined, '/?lastEventId=a%0D%0Ab'))).toBe('unreadable')
    expect(resumePointOf(request(undefined, `/?lastEventId=${'x'.repeat(2000)}`))).toBe('unreadable')
  })

  it('never throws for any input (rule 24)', () => {
    fc.assert(
      fc.property(fc.string(), fc.string(), (header, url) => {
        resumePointOf(request(latin1(header), url))
        resumePointOf(request(undefined, `//[?lastEventId=%${url}`))
      }),
    )
  })
})
