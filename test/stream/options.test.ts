import { runInNewContext } from 'node:vm'
import { describe, expect, it } from 'vitest'
import { resolveOptions } from '../../src/http/options.ts'

const code = (name: string) => expect.objectContaining({ name: 'SseError', code: name })

describe('resolveOptions', () => {
  it('fills in the defaults of missing and undefined options', () => {
    expect(resolveOptions(undefined)).toEqual(resolveOptions({}))
    expect(resolveOptions({ heartbeat: undefined, retry: 5 })).toMatchObject({ heartbeat: 15_000, retry: 5 })
  })

  it('rejects an unknown name and lists the known ones', () => {
    expect(() => resolveOptions({ heartbeet: 1 })).toThrow(code('ERR_SSE_OPTION'))
    expect(() => resolveOptions({ heartbeet: 1 })).toThrow(
      /^Unknown option "heartbeet"\. Did you mean heartbeat\? Known options: retry, heartbeat, /,
    )
    expect(() => resolveOptions({ constructor: 1 })).toThrow(code('ERR_SSE_OPTION'))
  })

  it.each([
    ['heartbeatInterval', 'heartbeat'],
    ['hearbeat', 'heartbeat'],
    ['retryAfter', 'retry'],
    ['header', 'headers'],
    ['stallTimeOut', 'stallTimeout'],
    ['maxBufferBytes', 'maxBufferedBytes'],
  ])('suggests an option for %s: %s', (name, meant) => {
    expect(() => resolveOptions({ [name]: 1 })).toThrow(`Did you mean ${meant}?`)
  })

  it.each(['interval', 'log', 'toString'])('suggests nothing for %j', (name) => {
    expect(() => resolveOptions({ [name]: 1 })).toThrow(/^Unknown option "\w*"\. Known options: /)
  })

  it.each([
    ['status', [199, 600, 204, 205, 304, '200', 200.5]],
    [
      'headers',
      [
        'a',
        null,
        { 'bad name': 'x' },
        { 'X-Split': 'a\r\nb' },
        { 'X-None': undefined },
        { 'X-None': [null] },
        new Headers({ 'X-Lost': '1' }),
        new Map([['X-Lost', '1']]),
        [['X-Lost', '1']],
      ],
    ],
    ['negotiate', ['json', 1, null]],
    ['preamble', [0, '', null]],
    ['retry', [-1, 1.5, '1', Number.NaN, 2 ** 31]],
    ['heartbeat', [-1, 1.5, '1', null, Number.POSITIVE_INFINITY]],
    ['maxBufferedBytes', [0, -1, 1.5, '1 MiB', Number.POSITIVE_INFINITY]],
    ['maxBufferedEvents', [0, Number.NaN]],
    ['overflow', ['drop', 1, null]],
    ['stallTimeout', [-1, '30s']],
    ['rateLimit', [5, null, [], new Map(), {}]],
    ['maxDuration', [-1, new Date()]],
    ['serialize', ['JSON', null]],
    ['replay', [[], null]],
    ['maxReplayEvents', [0, '10']],
    ['onGap', [true]],
    ['gapEvent', ['', 'a\nb', true, 1]],
  ])('rejects an invalid %s and names it', (name, values) => {
    for (const value of values) {
      expect(() => resolveOptions({ [name]: value })).toThrow(code('ERR_SSE_OPTION'))
      expect(() => resolveOptions({ [name]: value })).toThrow(name)
    }
  })

  it.each(['Connection', 'transfer-encoding', 'Content-Length'])(
    'rejects the header %s (rules 14, 15)',
    (name) => {
      expect(() => resolveOptions({ headers: { [name]: '1' } })).toThrow(code('ERR_SSE_OPTION'))
    },
  )

  it.each([
    ['text/plain', undefined],
    ['text/event-stream-x', undefined],
    ['text/event-stream; charset=iso-8859-1', undefined],
    [['text/event-stream', 'text/plain'], undefined],
    ['application/x-ndjson', ['ndjson', 'event-stream'] as const],
  ])('rejects the header Content-Type: %j, because an EventSource fails permanently', (type, formats) => {
    for (const name of ['Content-Type', 'content-type']) {
      const options = { headers: { [name]: type }, ...(formats && { formats }) }
      expect(() => resolveOptions(options)).toThrow(code('ERR_SSE_OPTION'))
      expect(() => resolveOptions(options)).toThrow(
        `The ${name} in option headers must be text/event-stream in UTF-8, not`,
      )
    }
  })

  it.each([
    ['text/event-stream', undefined],
    ['TEXT/Event-Stream;charset="UTF-8"', undefined],
    ['text/event-stream; v=1', undefined],
    ['application/jsonl', ['ndjson'] as const],
  ])('accepts the header Content-Type: %s', (type, formats) => {
    const headers = { 'Content-Type': type }
    expect(resolveOptions({ headers, ...(formats && { formats }) }).headers).toEqual(headers)
  })

  it.each([NaN, Number.POSITIVE_INFINITY])('rejects a header with the number %s', (value) => {
    expect(() => resolveOptions({ headers: { 'X-Count': value } })).toThrow(code('ERR_SSE_OPTION'))
    expect(() => resolveOptions({ headers: { 'X-Count': value } })).toThrow(`"X-Count" is ${value}`)
  })

  it.each([
    [null],
    ['options'],
    [7],
    [[]],
    [new Map()],
    [new Error('options')],
    [Promise.resolve({ retry: 5 })],
    [new Date(0)],
  ])('rejects %s in place of options', (options) => {
    expect(() => resolveOptions(options as never)).toThrow(code('ERR_SSE_OPTION'))
  })

  it('accepts an object without a prototype, of a class, of another realm, and the namespace of a module', () => {
    class Options {
      retry = 5
    }
    const withoutPrototype = Object.assign(Object.create(null), { retry: 5 })
    for (const options of [withoutPrototype, new Options(), runInNewContext('({ retry: 5 })')])
      expect(resolveOptions(options).retry).toBe(5)
    const namespace = Object.defineProperty({}, Symbol.toStringTag, { value: 'Module' })
    expect(resolveOptions(namespace)).toEqual(resolveOptions({}))
  })
})
