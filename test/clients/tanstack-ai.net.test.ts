import { getRequestListener } from '@hono/node-server'
import {
  EventType,
  resumeServerSentEventsResponse,
  type StreamChunk,
  toServerSentEventsResponse,
} from '@tanstack/ai'
import { fetchServerSentEvents } from '@tanstack/ai-client'
import { memoryRuns, Runs } from 'spillway'
import { describe, expect, onTestFinished, test, vi } from 'vitest'
import { runStream } from '../../examples/runs/tanstack-ai.ts'
import { deferred } from '../support/deferred.ts'
import { serve } from '../support/serve.ts'
import { TEXT } from './sdks.ts'

/** A source of chunks, as `chat` returns it, that a test makes speak. */
class Model {
  calls = 0
  readonly #stream = new TransformStream<StreamChunk, StreamChunk>({}, undefined, { highWaterMark: 100 })
  readonly #writer = this.#stream.writable.getWriter()
  readonly aborted = deferred<void>()

  constructor() {
    this.#write({ type: EventType.RUN_STARTED, threadId: 't1', runId: 'r1' })
    this.#write({ type: EventType.TEXT_MESSAGE_START, messageId: 'm1', role: 'assistant' })
  }

  say(delta: string): void {
    this.#write({ type: EventType.TEXT_MESSAGE_CONTENT, messageId: 'm1', delta })
  }

  end(): void {
    this.#write({ type: EventType.TEXT_MESSAGE_END, messageId: 'm1' })
    this.#write({ type: EventType.RUN_FINISHED, threadId: 't1', runId: 'r1' })
    void this.#writer.close()
  }

  async *chat({ signal }: AbortController): AsyncGenerator<StreamChunk> {
    this.calls += 1
    signal.addEventListener('abort', () => {
      this.aborted.resolve()
      this.#writer.abort(signal.reason).catch(() => {})
    })
    yield* this.#stream.readable as unknown as AsyncIterable<StreamChunk>
  }

  #write(chunk: StreamChunk): void {
    this.#writer.write(chunk).catch(() => {})
  }
}

/** Serves a POST that starts a run, and a GET that reads it. */
async function serveChat(model: Model) {
  const store = memoryRuns()
  const runs = new Runs({ store })
  onTestFinished(() => runs.shutdown({ grace: 0 }))
  const answer = (request: Request) => {
    const abortController = new AbortController()
    const adapter = runStream({ runs, store }, request, abortController)
    if (request.method === 'GET') return resumeServerSentEventsResponse({ adapter })
    const durability = { adapter, batch: 1 }
    // Without the log of errors.
    const init = { abortController, durability, debug: false }
    return toServerSentEventsResponse(model.chat(abortController), init)
  }
  const { url, sockets } = await serve(getRequestListener(answer))
  const cut = () => {
    for (const socket of sockets) socket.destroy()
  }
  const connection = fetchServerSentEvents(url, { reconnect: { delayMs: 1 } })
  return { runs, store, url, cut, connection }
}

/** Collects the texts of a stream, and how it ended. */
function collect(chunks: AsyncIterable<StreamChunk>) {
  const seen = { text: '', end: '' }
  const read = async () => {
    for await (const chunk of chunks) {
      if (chunk.type === EventType.TEXT_MESSAGE_CONTENT) seen.text += chunk.delta
      if (chunk.type === EventType.RUN_FINISHED) seen.end = 'finished'
      if (chunk.type === EventType.RUN_ERROR) seen.end = chunk.message
    }
  }
  const ended = read()
  const until = (text: string) => vi.waitFor(() => expect(seen.text).toBe(text), 30_000)
  return { seen, ended, until }
}

const whole = TEXT.join('')
const context = { threadId: 't1', runId: 'r1' }

describe('examples/runs/tanstack-ai.ts', () => {
  test('lets a client read the rest of an answer once after a cut, and another one all of it', async () => {
    const model = new Model()
    const { connection, cut, runs } = await serveChat(model)
    const first = collect(connection.connect([], undefined, undefined, context))
    model.say('Water\n')
    await first.until('Water\n')
    cut()
    model.say('über ')
    await first.until('Water\nüber ')
    const second = collect(connection.joinRun('r1'))
    await second.until('Water\nüber ')
    model.say('🦆\r\n')
    model.end()
    await Promise.all([first.ended, second.ended])
    const late = collect(connection.joinRun('r1'))
    await late.ended
    for (const { seen } of [first, second, late]) expect(seen).toEqual({ text: whole, end: 'finished' })
    expect(model.calls).toBe(1)
    await vi.waitFor(() => expect([runs.size, runs.running]).toEqual([0, 0]))
  })

  test('aborts the model when the run is stopped, and reports that to its clients', async () => {
    const model = new Model()
    const { connection, runs } = await serveChat(model)
    const first = collect(connection.connect([], undefined, undefined, context))
    model.say('Water\n')
    await first.until('Water\n')
    const second = collect(connection.joinRun('r1'))
    await second.until('Water\n')
    expect(await runs.stop('r1')).toBe(true)
    await Promise.all([model.aborted.promise, first.ended, second.ended])
    expect(second.seen).toEqual({ text: 'Water\n', end: 'stopped' })
    expect(first.seen.end).toMatch(/./)
  })

  test('does not call the model for a second request with the id of a run', async () => {
    const model = new Model()
    const { connection } = await serveChat(model)
    const first = collect(connection.connect([], undefined, undefined, context))
    model.say('Water\n')
    await first.until('Water\n')
    const second = collect(connection.connect([], undefined, undefined, context))
    await second.ended
    expect([second.seen, model.calls]).toEqual([{ text: '', end: 'There is a run r1 already.' }, 1])
    model.end()
    await first.ended
  })

  test('returns what is stored at the moment, and reports an unknown run and an unknown offset', async () => {
    const model = new Model()
    const { connection, runs, store, url } = await serveChat(model)
    const adapterFor = (id: string) => runStream({ runs, store }, new Request(`${url}?runId=${id}`))
    expect(await adapterFor('r1').snapshot()).toEqual([])
    const client = collect(connection.connect([], undefined, undefined, context))
    model.say('Water\n')
    await client.until('Water\n')
    const during = await adapterFor('r1').snapshot()
    expect(during.map(({ chunk }) => chunk.type)).toEqual([
      'CUSTOM',
      'RUN_STARTED',
      'TEXT_MESSAGE_START',
      'TEXT_MESSAGE_CONTENT',
    ])
    model.end()
    await client.ended
    const offset = during.at(-1)?.offset ?? ''
    const rest: string[] = []
    for await (const { chunk } of adapterFor('r1').read(offset)) rest.push(chunk.type)
    expect(rest).toEqual(['TEXT_MESSAGE_END', 'RUN_FINISHED'])
    for await (const { chunk } of adapterFor('r1').read('now')) expect(chunk).toBeUndefined()
    const after = await adapterFor('r1').snapshot()
    expect(after.slice(0, 4)).toEqual(during)
    expect(after).toHaveLength(6)
    for (const [id, offset] of [
      ['none', '-1'],
      ['r1', 'zzz-1'],
    ] as const) {
      const unknown = adapterFor(id).read(offset)[Symbol.asyncIterator]()
      await expect(unknown.next()).rejects.toThrow('not kept')
    }
  })
})
