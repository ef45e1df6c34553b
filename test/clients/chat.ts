import { AbstractChat, type ChatState, DefaultChatTransport, streamText, type UIMessage } from 'ai'
import { MockLanguageModelV3 } from 'ai/test'
import express from 'express'
import { expect, vi } from 'vitest'
import { sse } from '../../src/adapters/express.ts'
import type { SseEvent } from '../../src/event/event.ts'
import type { RunEnd } from '../../src/runs/run-end.ts'
import type { RunsOptions } from '../../src/runs/run-options.ts'
import type { Runs } from '../../src/runs/runs.ts'
import { deferred } from '../support/deferred.ts'
import { serve } from '../support/serve.ts'

const DONE = { data: '[DONE]' }
const headers = { 'x-vercel-ai-ui-message-stream': 'v1' }

/** The options of `Runs` for the protocol of the `ai` package. */
export const CHAT_OPTIONS: RunsOptions = {
  endEvent({ reason, message = 'The answer was interrupted.' }: RunEnd) {
    if (reason === 'done') return DONE
    const data = reason === 'stopped' ? { type: 'abort' } : { type: 'error', errorText: message }
    return [{ data }, DONE]
  },
  merge({ data: previous }, { data: next }) {
    const isSameText = previous.type === 'text-delta' && next.type === 'text-delta' && previous.id === next.id
    return isSameText ? { data: { ...previous, delta: previous.delta + next.delta } } : undefined
  },
}

/** A language model that a test makes speak. Its answer is the stream of `streamText` of the AI SDK. */
export class Model {
  calls = 0
  readonly #aborted = deferred<void>()
  readonly #stream = new TransformStream({}, undefined, { highWaterMark: 100 })
  readonly #chunks = this.#stream.writable.getWriter()
  readonly #model = new MockLanguageModelV3({
    doStream: async ({ abortSignal }) => {
      this.calls += 1
      abortSignal?.addEventListener('abort', () => {
        this.#aborted.resolve()
        this.#ignore(this.#chunks.abort(abortSignal.reason))
      })
      return { stream: this.#stream.readable }
    },
  })

  constructor() {
    this.#write({ type: 'stream-start', warnings: [] }, { type: 'text-start', id: 't1' })
  }

  /** Resolves when the request of the model was aborted. */
  get aborted(): Promise<void> {
    return this.#aborted.promise
  }

  say(...texts: string[]): void {
    this.#write(...texts.map((delta) => ({ type: 'text-delta', id: 't1', delta })))
  }

  end(): void {
    const finishReason = { unified: 'stop', raw: 'stop' }
    const usage = { inputTokens: { total: 1 }, outputTokens: { total: 3 } }
    this.#write({ type: 'text-end', id: 't1' }, { type: 'finish', finishReason, usage })
    this.#ignore(this.#chunks.close())
  }

  #write(...chunks: object[]): void {
    for (const chunk of chunks) this.#ignore(this.#chunks.write(chunk))
  }

  // The reader may abort the stream.
  #ignore(promise: Promise<unknown>): void {
    promise.catch(() => {})
  }

  /** The source of a run. The id of the message makes a client replace what it had received before a resume. */
  async *answer(signal: AbortSignal): AsyncGenerator<SseEvent> {
    const answer = streamText({ model: this.#model, prompt: 'hello', abortSignal: signal })
    const chunks = answer.toUIMessageStream({ originalMessages: [], generateMessageId: () => 'm1' })
    for await (const data of chunks) yield { data }
  }
}

type Source = (signal: AbortSignal) => AsyncIterable<SseEvent> | SseEvent[]

/** Serves the routes of a chat: POST starts a run, GET resumes it, and DELETE stops it. */
export async function serveChat(runs: Runs, source: Source) {
  const app = express()
  const answered: number[] = []
  app.use((_, response, next) => {
    response.once('finish', () => answered.push(response.statusCode))
    next()
  })
  app.post(
    '/chat',
    express.json(),
    sse(
      async (stream, request) => {
        const { id } = request.body
        await runs.delete(id)
        const run = await runs.start(id, source)
        await run.subscribe(stream)
      },
      { headers },
    ),
  )
  // The client reads the data of each event as a chunk, also that of a gap.
  const onGap = () => [{ data: { type: 'error', errorText: 'The beginning is not kept.' } }]
  const stream = sse((stream, request) => runs.subscribe(stream, String(request.params.id), { onGap }), {
    headers,
  })
  app.get('/chat/:id/stream', async (request, response, next) => {
    const run = await runs.get(request.params.id)
    if (run && !run.end) stream(request, response, next)
    else response.sendStatus(204)
  })
  app.delete('/chat/:id/stream', async (request, response) => {
    response.json(await runs.stop(request.params.id))
  })
  const { url, sockets } = await serve(app)
  const cut = () => {
    for (const socket of sockets) socket.destroy()
  }
  const stop = (id: string) => fetch(`${url}/chat/${id}/stream`, { method: 'DELETE' })
  return { api: `${url}/chat`, cut, stop, answered }
}

class Messages implements ChatState<UIMessage> {
  status = 'ready' as const
  error = undefined
  messages: UIMessage[] = []
  pushMessage = (message: UIMessage) => void this.messages.push(message)
  popMessage = () => void this.messages.pop()
  replaceMessage = (at: number, message: UIMessage) => void this.messages.splice(at, 1, message)
  snapshot = <T>(value: T): T => structuredClone(value)
}

/** What `useChat` uses, without React. */
export class Chat extends AbstractChat<UIMessage> {
  constructor(api: string, messages: UIMessage[] = []) {
    const state = Object.assign(new Messages(), { messages })
    super({ id: 'c1', transport: new DefaultChatTransport({ api }), state })
  }

  /** The texts of the messages. */
  get texts(): string[] {
    return this.messages.map(({ parts }) =>
      parts.map((part) => (part.type === 'text' ? part.text : '')).join(''),
    )
  }

  async until(...texts: string[]): Promise<void> {
    await vi.waitFor(() => expect(this.texts).toEqual(texts), 30_000)
  }
}
