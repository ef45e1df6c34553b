import type { IncomingMessage, ServerResponse } from 'node:http'
import { text } from 'node:stream/consumers'
import { GoogleGenAI } from '@google/genai'
import { getRequestListener } from '@hono/node-server'
import { Client } from '@modelcontextprotocol/sdk/client/index.js'
import { SSEClientTransport } from '@modelcontextprotocol/sdk/client/sse.js'
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js'
import { LoggingMessageNotificationSchema } from '@modelcontextprotocol/sdk/types.js'
import { DefaultChatTransport, readUIMessageStream, type UIMessage } from 'ai'
import OpenAI from 'openai'
import { describe, expect, it, onTestFinished } from 'vitest'
import type { SseEvent } from '../../src/event/event.ts'
import { createSseResponse } from '../../src/http/create-sse-response.ts'
import { createSseStream } from '../../src/http/create-sse-stream.ts'
import type { SseStreamOptions } from '../../src/http/options.ts'
import { refuseSseStream } from '../../src/http/refuse.ts'
import { Hub } from '../../src/hub/hub.ts'
import type { SseStream } from '../../src/stream/stream.ts'
import { holdClock } from '../../src/testing/hold-clock.ts'
import { deferred, listen, serve } from '../support/serve.ts'
import { closed } from '../support/streams.ts'
import { completionChunk, DONE, SDKS, TEXT } from './sdks.ts'

async function textOf(texts: AsyncIterable<string>): Promise<string> {
  let all = ''
  for await (const text of texts) all += text
  return all
}

/** Responds to every request with a stream of these events, with comments and heartbeats between them. */
async function serveEvents(events: readonly SseEvent[], options: SseStreamOptions = {}) {
  const clock = holdClock()
  onTestFinished(() => clock.release())
  const { url } = await serve(async (request, response) => {
    const stream = createSseStream(request, response, options)
    for (const event of events) {
      clock.advance(15_000)
      stream.comment('between')
      stream.send(event)
      await stream.drained()
    }
    clock.advance(15_000)
    stream.close()
  })
  return url
}

describe('the openai package', () => {
  const open = (url: string) => new OpenAI({ baseURL: url, apiKey: 'none', maxRetries: 0 })
  const ask = (url: string) => open(url).chat.completions.create({ model: 'm', messages: [], stream: true })

  it.each<[string, SseStreamOptions]>([
    ['on one line', {}],
    ['over several lines', { serialize: (data) => JSON.stringify(data, null, 2) }],
  ])('reads the chunks of a completion with JSON %s', async (_, options) => {
    const url = await serveEvents([...TEXT.map((each) => ({ data: completionChunk(each) })), DONE], options)
    const read: string[] = []
    for await (const { choices } of await ask(url)) read.push(choices[0]?.delta.content ?? '')
    expect(read).toEqual(TEXT)
  })

  it('reads the named events of a response', async () => {
    const events = TEXT.map((delta, i) => ({
      event: 'response.output_text.delta',
      id: i,
      data: { type: 'response.output_text.delta', delta },
    }))
    const url = await serveEvents(events)
    const read: string[] = []
    for await (const event of await open(url).responses.create({ model: 'm', input: '', stream: true })) {
      if (event.type === 'response.output_text.delta') read.push(event.delta)
    }
    expect(read).toEqual(TEXT)
  })

  it('throws an error that is sent as an event', async () => {
    const url = await serveEvents([
      { data: completionChunk('a') },
      { data: { error: { message: 'out of tokens' } } },
    ])
    const read = async () => {
      for await (const _ of await ask(url));
    }
    await expect(read()).rejects.toThrow('out of tokens')
  })

  it('requests the completion again when it was refused with a `retry`', async () => {
    let requests = 0
    const { url } = await serve((request, response) => {
      requests += 1
      if (requests === 1) return refuseSseStream(response, { retry: 1 })
      const stream = createSseStream(request, response)
      stream.send({ data: completionChunk('a') })
      stream.close()
    })
    const client = new OpenAI({ baseURL: url, apiKey: 'none', maxRetries: 1 })
    const read: string[] = []
    const chunks = await client.chat.completions.create({ model: 'm', messages: [], stream: true })
    for await (const { choices } of chunks) read.push(choices[0]?.delta.content ?? '')
    expect([read, requests]).toEqual([['a'], 2])
  })

  it('ends its stream when its loop is left', async () => {
    const opened = deferred<SseStream>()
    const { url } = await serve((request, response) => {
      const stream = createSseStream(request, response)
      opened.resolve(stream)
      stream.send({ data: completionChunk('a') })
    })
    for await (const _ of await ask(url)) break
    expect(await closed(await opened.promise)).toMatchObject({ reason: 'client' })
  })
})

describe.each(SDKS)('$name', ({ read, events }) => {
  it('reads the stream of createSseStream', async () => {
    const url = await serveEvents(events)
    expect(await textOf(read(url))).toBe(TEXT.join(''))
  })

  it('reads the stream of createSseResponse', async () => {
    const { port } = await listen(getRequestListener((request) => createSseResponse(request, () => events)))
    expect(await textOf(read(`http://127.0.0.1:${port}`))).toBe(TEXT.join(''))
  })
})

describe('@google/genai', () => {
  it('reads all chunks of a stream without a preamble', async () => {
    const events = TEXT.map((text) => ({ data: { candidates: [{ content: { parts: [{ text }] } }] } }))
    const { url } = await serve(async (request, response) => {
      const stream = createSseStream(request, response, { preamble: false })
      await stream.sendAll(events)
      stream.close()
    })
    const google = new GoogleGenAI({ apiKey: 'none', httpOptions: { baseUrl: url } })
    const texts: unknown[] = []
    const chunks = await google.models.generateContentStream({ model: 'm', contents: 'hello' })
    for await (const { text } of chunks) texts.push(text)
    expect(texts).toEqual(TEXT)
  })
})

describe('the ai package', () => {
  const chunks = [
    { type: 'start', messageId: 'm1' },
    { type: 'text-start', id: 't1' },
    ...TEXT.map((delta) => ({ type: 'text-delta', id: 't1', delta })),
    { type: 'text-end', id: 't1' },
    { type: 'finish' },
  ]
  const events = [...chunks.map((data) => ({ data })), DONE]
  const messages: UIMessage[] = [{ id: 'u1', role: 'user', parts: [{ type: 'text', text: 'hello' }] }]
  const send = (api: string, abortSignal?: AbortSignal) =>
    new DefaultChatTransport({ api }).sendMessages({
      trigger: 'submit-message',
      chatId: 'c1',
      messageId: undefined,
      messages,
      abortSignal,
    })

  async function messageOf(stream: Awaited<ReturnType<typeof send>>): Promise<string> {
    let message: UIMessage | undefined
    for await (message of readUIMessageStream({ stream }));
    return message?.parts.map((part) => (part.type === 'text' ? part.text : '')).join('') ?? ''
  }

  it('reads the message of a chat', async () => {
    const url = await serveEvents(events)
    expect(await messageOf(await send(url))).toBe(TEXT.join(''))
  })

  it('resumes a chat, and resumes none when the status is 204', async () => {
    const hub = new Hub()
    const { url } = await serve((request, response) => {
      if (request.url === '/c2/stream') return refuseSseStream(response, { status: 204 })
      expect([request.method, request.url]).toEqual(['GET', '/c1/stream'])
      const stream = createSseStream(request, response)
      hub.subscribe(stream, ['c1'])
      for (const event of events) void hub.channel('c1').publish(event)
      hub
        .channel('c1')
        .publish(DONE)
        .then(() => stream.close())
    })
    const transport = new DefaultChatTransport({ api: url.replace(/\/$/, '') })
    const resumed = await transport.reconnectToStream({ chatId: 'c1' })
    expect(resumed && (await messageOf(resumed))).toBe(TEXT.join(''))
    expect(await transport.reconnectToStream({ chatId: 'c2' })).toBeNull()
  })

  it('ends its stream when it is aborted', async () => {
    const opened = deferred<SseStream>()
    const { url } = await serve((request, response) => {
      const stream = createSseStream(request, response)
      opened.resolve(stream)
      stream.send({ data: chunks[0] })
    })
    const controller = new AbortController()
    const stream = await send(url, controller.signal)
    await stream.getReader().read()
    controller.abort()
    expect(await closed(await opened.promise)).toMatchObject({ reason: 'client' })
  })
})

describe('@modelcontextprotocol/sdk', () => {
  interface Message {
    readonly id?: number
    readonly method: string
  }

  const readMessage = async (request: IncomingMessage): Promise<Message> => JSON.parse(await text(request))

  function answerTo({ id, method }: Message) {
    const serverInfo = { name: 'server', version: '1' }
    const result =
      method === 'initialize'
        ? { protocolVersion: '2025-06-18', capabilities: { tools: {}, logging: {} }, serverInfo }
        : { content: [{ type: 'text', text: TEXT.join('') }] }
    return { event: 'message', data: { jsonrpc: '2.0', id, result } }
  }

  function note(data: string) {
    const params = { level: 'info', data }
    return { event: 'message', data: { jsonrpc: '2.0', method: 'notifications/message', params } }
  }

  async function connect(transport: Parameters<Client['connect']>[0]) {
    const client = new Client({ name: 'client', version: '1' })
    const seen = { errors: [] as string[], notes: [] as unknown[] }
    const noted = deferred<void>()
    client.onerror = (error) => seen.errors.push(String(error))
    client.setNotificationHandler(LoggingMessageNotificationSchema, ({ params }) => {
      seen.notes.push(params.data)
      noted.resolve()
    })
    await client.connect(transport)
    onTestFinished(() => client.close())
    const call = async () => (await client.callTool({ name: 'speak' })).content
    return { call, seen, noted: noted.promise }
  }

  it('calls a tool over Streamable HTTP, and gets the events that it missed when the connection is cut', async () => {
    const hub = new Hub()
    const resumedFrom: unknown[] = []
    const { url } = await serve(async (request, response) => {
      if (request.method === 'GET') return resume(request, response)
      const message = await readMessage(request)
      if (message.id === undefined) return void response.writeHead(202).end()
      const stream = createSseStream(request, response, { retry: 1 })
      if (message.method !== 'initialize') return call(stream, message)
      stream.comment('before')
      stream.send(answerTo(message))
      stream.close()
    })
    async function call(stream: SseStream, message: Message) {
      const calls = hub.channel('calls')
      calls.subscribe(stream)
      await calls.publish(note('begun'))
      await stream.drained()
      stream.destroy()
      await calls.publish(note('missed'))
      await calls.publish(answerTo(message))
    }
    function resume(request: IncomingMessage, response: ServerResponse) {
      // The client opens a stream of notifications too.
      if (request.headers['last-event-id'] === undefined) return refuseSseStream(response, { status: 405 })
      const stream = createSseStream(request, response)
      resumedFrom.push(stream.lastEventId)
      hub.subscribe(stream, ['calls'])
    }

    const { call: callTool, seen } = await connect(new StreamableHTTPClientTransport(new URL(url)))
    expect(await callTool()).toEqual([{ type: 'text', text: TEXT.join('') }])
    expect(seen.notes).toEqual(['begun', 'missed'])
    expect(resumedFrom).toEqual([expect.stringMatching(/-1$/)])
    expect(seen.errors).toEqual([expect.stringContaining('SSE stream disconnected')])
  })

  it('receives a notification that is not a response to a request', async () => {
    const opened = deferred<SseStream>()
    const { url } = await serve(async (request, response) => {
      if (request.method === 'GET') return opened.resolve(createSseStream(request, response))
      const message = await readMessage(request)
      if (message.id === undefined) return void response.writeHead(202).end()
      const stream = createSseStream(request, response)
      stream.send(answerTo(message))
      stream.close()
    })
    const { seen, noted, call } = await connect(new StreamableHTTPClientTransport(new URL(url)))
    const stream = await opened.promise
    stream.comment('between')
    stream.send({ id: 'priming', data: '' })
    stream.send(note('unsolicited'))
    await noted
    await call()
    expect(seen).toEqual({ notes: ['unsolicited'], errors: [] })
  })

  it('calls a tool over the older transport with two endpoints', async () => {
    const opened = deferred<SseStream>()
    const { url } = await serve(async (request, response) => {
      if (request.method === 'GET') {
        const stream = createSseStream(request, response)
        stream.send({ event: 'endpoint', data: '/messages?session=1' })
        return opened.resolve(stream)
      }
      expect(request.url).toBe('/messages?session=1')
      const message = await readMessage(request)
      response.writeHead(202).end()
      const stream = await opened.promise
      stream.comment('between')
      if (message.id !== undefined) stream.send(answerTo(message))
    })
    const { call, seen } = await connect(new SSEClientTransport(new URL(url)))
    expect(await call()).toEqual([{ type: 'text', text: TEXT.join('') }])
    expect(seen).toEqual({ notes: [], errors: [] })
  })
})
