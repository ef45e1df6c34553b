import { expectTypeOf, test } from 'vitest'
import { connect, type SseConnection } from '../../src/client/index.ts'

interface Events {
  price: { value: number }
  halt: string
}

// Not called, so that nothing is requested.
const check = (run: () => void) => void run

test('an iterator yields names and data as pairs, and a gap', () => {
  check(async () => {
    for await (const item of connect<Events>('/')) {
      expectTypeOf(item.event).toEqualTypeOf<'price' | 'halt' | 'gap'>()
      if (item.event === 'price') expectTypeOf(item.data).toEqualTypeOf<{ value: number }>()
      if (item.event === 'halt') expectTypeOf(item.data).toEqualTypeOf<string>()
      if (item.event === 'gap') expectTypeOf(item.data.reason).toEqualTypeOf<string>()
    }
    for await (const { event, data } of connect('/')) {
      expectTypeOf(event).toEqualTypeOf<string>()
      expectTypeOf(data).toBeAny()
    }
  })
})

test('listeners are checked by the names of the events, and their data is text', () => {
  check(() => {
    const source = connect<Events>('/')
    source.addEventListener('price', (event) => {
      expectTypeOf(event.type).toEqualTypeOf<'price'>()
      expectTypeOf(event.data).toEqualTypeOf<string>()
    })
    source.addEventListener('transport', ({ transport }) =>
      expectTypeOf(transport).toEqualTypeOf<'event-stream' | 'json'>(),
    )
    source.addEventListener('error', ({ error }) => expectTypeOf(error).toBeUnknown())
    source.addEventListener('gap', {
      handleEvent: ({ lastEventId }) => expectTypeOf(lastEventId).toBeString(),
    })
    // @ts-expect-error The map has no such event.
    source.addEventListener('prize', () => {})
    connect('/').addEventListener('anything', ({ data }) => expectTypeOf(data).toBeString())
    expectTypeOf(source).toEqualTypeOf<SseConnection<Events>>()
  })
})

test('options are checked', () => {
  check(() => {
    connect(async () => new URL('https://example.com'), {
      headers: () => [['a', 'b']],
      credentials: 'include',
    })
    connect('/', { headers: async () => ({ authorization: 'Bearer token' }), method: 'POST', body: '{}' })
    // @ts-expect-error A number is not a body.
    connect('/', { body: 1 })
  })
})
