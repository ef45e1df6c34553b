import { describe, expect, expectTypeOf, test } from 'vitest'
import { sse as expressSse } from '../../src/adapters/express.ts'
import { sse as fastifySse } from '../../src/adapters/fastify/sse.ts'
import { sse as koaSse } from '../../src/adapters/koa.ts'
import { sse as nextSse } from '../../src/adapters/next.ts'
import { sse as webSse } from '../../src/adapters/web.ts'
import { parseEvents } from '../../src/formats/parse-events.ts'
import { createSseResponse } from '../../src/http/create-sse-response.ts'
import { createSseStream } from '../../src/http/create-sse-stream.ts'
import { sse } from '../../src/http/sse.ts'
import type { SseStream } from '../../src/stream/stream.ts'

interface Prices {
  price: number
}

async function* load(): AsyncGenerator<{ event: string; data: number | null }> {}

const options = {
  replay: (lastEventId: string) => [{ event: 'missed', data: null, id: lastEventId }],
  onGap: () => parseEvents([]),
}

describe('the types of events', () => {
  test.each([
    [
      'node:http',
      () => sse(load, { replay: () => [{ event: 'missed', data: null }], onGap: () => parseEvents([]) }),
    ],
    [
      'Express',
      () => expressSse(load, { replay: () => [{ event: 'missed', data: 'x' }], onGap: () => [{ id: 1 }] }),
    ],
    [
      'Fastify',
      () => fastifySse(load, { replay: () => parseEvents([]), onGap: () => [{ event: 'all', data: {} }] }),
    ],
    ['Koa', () => koaSse(() => parseEvents([]), { replay: () => [{ event: 'missed', data: null }] })],
    [
      'Next',
      () => nextSse(() => [{ event: 'load', data: 1 }], { replay: load, onGap: () => parseEvents([]) }),
    ],
    [
      'fetch servers',
      () => webSse(() => [{ event: 'a', data: 1 }, { id: 1 }], { replay: () => parseEvents([]) }),
    ],
  ])('are not inferred from sources that a handler for %s and its options return', (_, create) => {
    expect(create()).toBeTypeOf('function')
  })

  test('are not inferred from the options of a stream', () => {
    const create = (...[request, response]: Parameters<typeof createSseStream>) => {
      const stream = createSseStream(request, response, { replay: () => [{ event: 'missed', data: 1 }] })
      expectTypeOf(stream.send).parameter(0).toEqualTypeOf<Parameters<SseStream['send']>[0]>()
      stream.send({ event: 'other', data: null })
      createSseStream(request, response, { replay: () => parseEvents([]), onGap: load })
      createSseResponse(new Request('http://a'), load, options)
    }
    expect(create).toBeTypeOf('function')
  })

  test('are those of the type argument or the stream parameter, with which sources are checked', () => {
    const create = () => {
      webSse<Prices>(() => [{ event: 'price', data: 1 }], { replay: () => [{ event: 'price', data: 1 }] })
      // @ts-expect-error: a price is a number.
      webSse((_stream: SseStream<Prices>) => [{ event: 'price', data: '1' }])
      // @ts-expect-error: a price is a number.
      webSse((_stream: SseStream<Prices>) => {}, { replay: () => [{ event: 'price', data: '1' }] })
      // @ts-expect-error: the stream has no such event.
      webSse<Prices>(() => {}, { onGap: () => [{ event: 'board', data: 1 }] })
    }
    expect(create).toBeTypeOf('function')
  })
})
