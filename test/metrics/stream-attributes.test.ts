import { afterEach, beforeEach, describe, expect, it, type MockInstance, vi } from 'vitest'
import { type MetricsOptions, StreamAttributes } from '../../src/metrics/stream-attributes.ts'
import type { SseStream } from '../../src/stream/stream.ts'

const STREAM = { 'spillway.transport': 'stream', 'spillway.format': 'event-stream' }

let warning: MockInstance

beforeEach(() => {
  warning = vi.spyOn(process, 'emitWarning').mockImplementation(() => {})
})
afterEach(() => warning.mockRestore())

/** Returns the attributes of a stream that has only what they are made of. */
function attributesOf(request: unknown, attributes = new StreamAttributes({})) {
  return attributes.of({ format: 'event-stream', request } as SseStream)
}

describe('the version of HTTP', () => {
  it.each([
    ['1.0', '1.0'],
    ['1.1', '1.1'],
    ['2.0', '2'],
  ])('of a request with %s is %s', (httpVersion, expected) => {
    expect(attributesOf({ httpVersion })).toEqual({ ...STREAM, 'network.protocol.version': expected })
  })
})

describe('the route', () => {
  it('of Express has no path of a router, which contains the values of its parameters', () => {
    const request = { baseUrl: '/users/ada', route: { path: '/events' } }

    expect(attributesOf(request)).toEqual({ ...STREAM, 'http.route': '/events' })
  })

  it.each([7, {}, null, Promise.resolve('/a')])(
    'that is not a string is omitted, and causes a warning',
    (value) => {
      const attributes = new StreamAttributes({ route: () => value as never })

      expect(attributesOf({}, attributes)).toEqual(STREAM)
      expect(warning).toHaveBeenCalledExactlyOnceWith(
        expect.stringContaining('must be a string or undefined'),
      )
    },
  )

  it.each([Object.create(null), Symbol('thrown'), undefined])(
    'is omitted if the option throws any value',
    (thrown) => {
      const route: MetricsOptions['route'] = () => {
        throw thrown
      }

      expect(attributesOf({}, new StreamAttributes({ route }))).toEqual(STREAM)
      expect(warning).toHaveBeenCalledOnce()
    },
  )

  it('warns once, however many streams have none', () => {
    const attributes = new StreamAttributes({ route: () => 7 as never })

    for (let i = 0; i < 3; i++) attributesOf({}, attributes)

    expect(warning).toHaveBeenCalledOnce()
  })
})
