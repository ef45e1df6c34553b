import { describe, expect, expectTypeOf, it } from 'vitest'
import type { SseEvent } from '../../src/event/event.ts'
import type { Source } from '../../src/event/source.ts'
import { encode } from '../../src/formats/event-stream.ts'
import type { SseHandler } from '../../src/http/handler.ts'
import { Hub } from '../../src/hub/hub.ts'
import type { SseStream } from '../../src/stream/stream.ts'
import { sseError } from '../support/hub.ts'
import { parseEvents } from '../support/parse.ts'
import { closed, fakeStream, settled } from '../support/streams.ts'

// The shapes of other libraries. Interfaces, because TypeScript checks the excess keys of object literals only.
interface ChatChunk {
  id: string
  object: 'chat.completion.chunk'
  created: number
  model: string
  choices: Array<{ index: number; delta: { content?: string }; finish_reason: string | null }>
}
interface MessageEvent {
  type: 'content_block_delta'
  index: number
  delta: { type: 'text_delta'; text: string }
}
interface RpcRequest {
  jsonrpc: '2.0'
  id: number
  method: string
}
interface RpcResponse {
  jsonrpc: '2.0'
  id: number | string
  result: unknown
}
interface Row {
  id: number
  name: string
}
interface StoredEvent {
  id: number
  data: string
}

const chunk: ChatChunk = {
  id: 'chatcmpl-1',
  object: 'chat.completion.chunk',
  created: 1,
  model: 'm',
  choices: [{ index: 0, delta: { content: 'a' }, finish_reason: null }],
}
const message: MessageEvent = {
  type: 'content_block_delta',
  index: 0,
  delta: { type: 'text_delta', text: 'a' },
}
const request: RpcRequest = { jsonrpc: '2.0', id: 1, method: 'tools/list' }
const response: RpcResponse = { jsonrpc: '2.0', id: 1, result: {} }
const row: Row = { id: 1, name: 'Ada' }
const stored: StoredEvent = { id: 1, data: 'text' }

const FOREIGN: Array<[string, object, string]> = [
  ['a chunk of the OpenAI SDK', chunk, 'object'],
  ['an event of the Anthropic SDK', message, 'type'],
  ['a request of JSON-RPC', request, 'jsonrpc'],
  ['a response of JSON-RPC', response, 'jsonrpc'],
  ['a row of a database', row, 'name'],
  ['a row with data and another column', { id: 1, data: 'x', author: 'Ada' }, 'author'],
]

describe.each(FOREIGN)('%s', (_name, foreign, key) => {
  const unknownKey = `Unknown key "${key}" in an event.`

  it('is no event of send, encode or publish (rule 42)', async () => {
    const { stream, transport } = fakeStream()
    expect(() => stream.send(foreign)).toThrow(sseError('ERR_SSE_EVENT'))
    expect(() => stream.send(foreign)).toThrow(unknownKey)
    expect(() => encode(foreign)).toThrow(unknownKey)
    await expect(new Hub().channel('a').publish(foreign as never)).rejects.toThrow(unknownKey)
    await settled()
    expect(transport.writes).toEqual([])
    expect(stream.closed).toBe(false)
  })

  it('is rejected by sendAll, and fails a replay, before it is sent (rule 42)', async () => {
    const { stream, transport } = fakeStream()
    const source = (async function* () {
      yield foreign
    })()
    await expect(stream.sendAll(source)).rejects.toThrow(unknownKey)
    expect(await source.next()).toEqual({ done: true, value: undefined })

    const replaying = fakeStream({ replay: () => [foreign] }, '0')
    const end = closed(replaying.stream)
    await settled()
    replaying.transport.lose()
    expect(await end).toEqual({ reason: 'replay', error: sseError('ERR_SSE_EVENT') })
    expect([...transport.writes, ...replaying.transport.writes].join('')).not.toContain('id:')
  })
})

const NOT_EVENTS: Array<[string, unknown]> = [
  ['a promise', Promise.resolve({ data: 1 })],
  ['an array', [{ data: 1 }]],
  ['an array', []],
  ['a Map', new Map([['data', 1]])],
  ['an Error', new Error('x')],
  ['a Uint8Array', new Uint8Array(1)],
]

it.each(NOT_EVENTS)('%s is no event, and the error names it', async (given, value) => {
  const error = expect.objectContaining({
    code: 'ERR_SSE_EVENT',
    message: `An event must be an object such as { data: 'text' }, not ${given}.`,
  })
  const { stream, transport } = fakeStream()
  expect(() => stream.send(value as never)).toThrow(error)
  expect(() => encode(value as never)).toThrow(error)
  await expect(new Hub().channel('a').publish(value as never)).rejects.toThrow(error)
  await settled()
  expect(transport.writes).toEqual([])
})

it('an object with an id and data alone is an event', async () => {
  const { stream, transport } = fakeStream()
  stream.send(stored)
  await stream.sendAll([stored])
  await settled()
  expect(parseEvents(transport.writes.join(''))).toMatchObject(
    [stored, stored].map(({ data }) => ({ id: '1', data })),
  )
})

it('the types refuse the objects of other libraries, also as variables', () => {
  expectTypeOf<SseEvent>().not.toBeAny()
  expectTypeOf<ChatChunk>().not.toExtend<SseEvent>()
  expectTypeOf<MessageEvent>().not.toExtend<SseEvent>()
  expectTypeOf<RpcRequest>().not.toExtend<SseEvent>()
  expectTypeOf<RpcResponse>().not.toExtend<SseEvent>()
  expectTypeOf<Row>().not.toExtend<SseEvent>()
  expectTypeOf<Error>().not.toExtend<SseEvent>()
  expectTypeOf<AsyncIterable<ChatChunk>>().not.toExtend<Source>()
  expectTypeOf<Row[]>().not.toExtend<Source>()
  expectTypeOf<AsyncGenerator<RpcResponse>>().not.toExtend<Source>()
  expectTypeOf<() => AsyncGenerator<ChatChunk>>().not.toExtend<SseHandler>()
  expectTypeOf<{ event: string }>().not.toExtend<SseEvent>()
})

it('the types accept events, and infer the data of the handlers and sources that yield them', () => {
  expectTypeOf<StoredEvent>().toExtend<SseEvent>()
  expectTypeOf<{ id: string }>().toExtend<SseEvent>()
  expectTypeOf<{ retry: number }>().toExtend<SseEvent<{ price: number }>>()
  expectTypeOf<StoredEvent[]>().toExtend<Source>()
  expectTypeOf<() => Generator<{ data: number }>>().toExtend<SseHandler>()
  const send = (stream: SseStream, event: SseEvent, prices: SseStream<{ price: number }>) => {
    stream.send(event)
    stream.send({ data: 1, id: 1 })
    prices.send({ event: 'price', data: 1 })
    // @ts-expect-error: an event with a name has data.
    stream.send({ event: 'done' })
    // @ts-expect-error: excess keys of a literal.
    stream.send({ id: 1, title: 'x' })
    // @ts-expect-error: the data of a price is a number.
    prices.send({ event: 'price', data: '1' })
  }
  expect(send).toBeTypeOf('function')
})

describe('an instance of a class', () => {
  class Base {
    get event() {
      return 'price'
    }
  }
  class Price extends Base {
    #value = 1
    get data() {
      return { value: this.#value }
    }
    update() {}
  }

  it('is an event with the values of its getters in send and sendAll', async () => {
    const { stream, transport } = fakeStream({ overflow: 'conflate' })
    stream.send(new Price())
    await stream.sendAll([new Price()])
    await settled()
    expect(parseEvents(transport.writes.join(''))).toMatchObject(
      Array(2).fill({ event: 'price', data: '{"value":1}' }),
    )
  })

  it('is no event if it has a field of its own beside its getters', () => {
    class Labelled extends Price {
      label = 'x'
    }
    expect(() => encode(new Labelled())).toThrow('Unknown key "label"')
  })
})
