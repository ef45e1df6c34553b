import { describe, expect, it } from 'vitest'
import { resolveOptions } from '../../src/http/options.ts'

const code = (name: string) => expect.objectContaining({ name: 'SseError', code: name })

describe('options', () => {
  it('are all optional', () => {
    expect(resolveOptions(undefined)).toEqual(resolveOptions({}))
    expect(resolveOptions({ heartbeat: undefined, retry: 5 })).toMatchObject({ heartbeat: 15_000, retry: 5 })
  })

  it('refuse a name that there is not, and say which there are', () => {
    expect(() => resolveOptions({ heartbeet: 1 })).toThrow(code('ERR_SSE_OPTION'))
    expect(() => resolveOptions({ heartbeet: 1 })).toThrow(/"heartbeet".*heartbeat/)
    expect(() => resolveOptions({ constructor: 1 })).toThrow(code('ERR_SSE_OPTION'))
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
  ])('refuse a wrong %s by its name', (name, values) => {
    for (const value of values) {
      expect(() => resolveOptions({ [name]: value })).toThrow(code('ERR_SSE_OPTION'))
      expect(() => resolveOptions({ [name]: value })).toThrow(name)
    }
  })

  it.each(['Connection', 'transfer-encoding', 'Content-Length'])(
    'refuse the header %s (rules 14, 15)',
    (name) => {
      expect(() => resolveOptions({ headers: { [name]: '1' } })).toThrow(code('ERR_SSE_OPTION'))
    },
  )

  it.each([[null], ['options'], [7], [[]], [new Map()]])('refuse %s in place of options', (options) => {
    expect(() => resolveOptions(options as never)).toThrow(code('ERR_SSE_OPTION'))
  })
})
