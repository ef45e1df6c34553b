import { describe, expect, it } from 'vitest'
import { sse } from '../../src/adapters/web.ts'
import { Hub } from '../../src/hub/hub.ts'
import { sseError } from '../support/hub.ts'

/** Data that is nested deeper than the stack. Node.js 26 and later can serialize it. */
function nested(): unknown {
  let data: unknown = []
  for (let depth = 0; depth < 100_000; depth++) data = [data]
  return data
}

function overflow(): unknown {
  return [overflow()]
}

function circular(): object {
  const data: Record<string, unknown> = {}
  data.self = data
  return data
}

// More than the longest data. It is not copied, because V8 keeps a repeated string as a tree.
const TOO_LONG = 'x'.repeat(2 ** 26 + 1)

/** A channel, and a function that polls it after an id. */
function polled(serialize = JSON.stringify as (data: unknown) => string) {
  const channel = new Hub({ serialize }).channel('news')
  const respond = sse((stream) => channel.subscribe(stream), { formats: ['event-stream', 'ndjson', 'json'] })
  const request = async (query: string) => respond(new Request(`http://127.0.0.1/?${query}`))
  const poll = async (after: string) =>
    JSON.parse(await (await request(`format=json&hold=0&lastEventId=${after}`)).text())
  return { channel, request, poll }
}

describe('data that cannot be encoded', () => {
  it.each<[string, () => unknown]>([
    ['overflows the stack', () => ({ toJSON: overflow })],
    ['is circular', circular],
    ['has a toJSON that throws', () => ({ toJSON: () => expect.unreachable() })],
    ['contains a BigInt', () => ({ price: 10n })],
    ['is a symbol', () => Symbol('data')],
    ['is a function', () => () => {}],
    ['is too long', () => TOO_LONG],
    ['is too long once it is serialized', () => ({ toJSON: () => TOO_LONG })],
  ])('rejects the publish if it %s, and not the next one', async (_what, data) => {
    const { channel, poll } = polled()
    const first = await channel.publish({ data: 0 })
    await expect(channel.publish({ data: data() })).rejects.toThrow(sseError('ERR_SSE_DATA'))
    const id = await channel.publish({ data: 1 })
    expect((await poll(first)).events).toEqual([{ event: 'message', id, data: 1 }])
  })
})

describe('unusual data', () => {
  it('is rejected or sent whole if it is nested deeper than the stack', async () => {
    const { channel, poll } = polled()
    const first = await channel.publish({ data: 0 })
    const isSent = await channel.publish({ data: nested() }).then(
      () => true,
      () => false,
    )
    const id = await channel.publish({ data: 1 })
    const { events } = await poll(first)
    expect(events.at(-1)).toEqual({ event: 'message', id, data: 1 })
    expect(events).toHaveLength(isSent ? 2 : 1)
  })

  const cases: ReadonlyArray<readonly [unknown, unknown]> = [
    ['\ud800x\udc00', '\ufffdx\ufffd'],
    [{ text: '\ud800' }, { text: '\ud800' }],
    ['\u2028\u2029\u0085\0\ufeff', '\u2028\u2029\u0085\0\ufeff'],
    [{ text: '\u2028\0' }, { text: '\u2028\0' }],
    [
      JSON.parse('{"__proto__":{"a":1},"constructor":1}'),
      JSON.parse('{"__proto__":{"a":1},"constructor":1}'),
    ],
    [Number.NaN, null],
    ['{"event":"forged"}\n{"event":"forged"}', '{"event":"forged"}\n{"event":"forged"}'],
    ['\u0001'.repeat(1_000_000), '\u0001'.repeat(1_000_000)],
  ]

  it('is valid in the page of a poll, and on one line of NDJSON', async () => {
    const { channel, request, poll } = polled()
    let last = await channel.publish({ data: 'first' })
    const { body } = await request(`format=ndjson&lastEventId=${last}`)
    const events: unknown[] = []
    for (const [data, expected] of cases) {
      const id = await channel.publish({ event: '__proto__', data })
      events.push({ event: '__proto__', id, data: expected })
      expect((await poll(last)).events).toEqual(events.slice(-1))
      last = id
    }
    let text = ''
    for await (const chunk of (body as ReadableStream).pipeThrough(
      new TextDecoderStream('utf-8', { ignoreBOM: true }),
    )) {
      text += chunk
      if (text.includes(last) && text.endsWith('\n')) break
    }
    const lines = text.split('\n').filter((line) => line.startsWith('{"event"'))
    expect(lines.map((line) => JSON.parse(line))).toEqual(events)
  })

  it('is valid if a serializer returns JSON that is nested deeper than the stack', async () => {
    const depth = 200_000
    const { channel, poll } = polled(() => `${'['.repeat(depth)}\r\n${']'.repeat(depth)}`)
    const first = await channel.publish({ data: {} })
    await channel.publish({ data: {} })
    expect((await poll(first)).events).toHaveLength(1)
  })
})
