import type { IncomingMessage, ServerResponse } from 'node:http'
import OpenAI from 'openai'
import type { SseEvent } from '../../src/event/event.ts'
import { createSseStream } from '../../src/http/create-sse-stream.ts'
import type { RunEnd } from '../../src/runs/run-end.ts'
import type { Runs } from '../../src/runs/runs.ts'
import type { SseStream } from '../../src/stream/stream.ts'
import { deferred } from '../support/deferred.ts'
import { serve } from '../support/serve.ts'

const DONE = { data: '[DONE]' }

/** The parameters of a completion. */
export const request = { model: 'm', messages: [] }

// An error of the protocol, which the client throws. Without an event at the end, a cut answer would look complete.
export function endEvent({ reason, message = reason }: RunEnd): SseEvent {
  return reason === 'done' ? DONE : { data: { error: { message } } }
}

const open = (url: string) => new OpenAI({ baseURL: url, apiKey: 'none', maxRetries: 0 })

/** A source of a run: the chunks of a completion as the data of events. */
export const completionOf = (openai: OpenAI) =>
  async function* (signal: AbortSignal) {
    const chunks = await openai.chat.completions.create({ ...request, stream: true }, { signal })
    for await (const data of chunks) yield { data }
  }

/** Serves a model whose answer a test controls. */
export async function serveModel(respond?: (request: IncomingMessage, response: ServerResponse) => void) {
  const opened = deferred<SseStream>()
  let calls = 0
  const { url } = await serve((request, response) => {
    calls += 1
    if (respond) respond(request, response)
    else opened.resolve(createSseStream(request, response))
  })
  const openai = open(url)
  return { openai, answer: opened.promise, calls: () => calls }
}

/** Serves the run `a` as a model does. */
export async function serveRun(runs: Runs) {
  const { url } = await serve((request, response) => runs.subscribe(createSseStream(request, response), 'a'))
  return open(url)
}

/** Reads the text of a completion. `onText` is called with all of it so far. */
export async function read(openai: OpenAI, onText: (text: string) => void = () => {}): Promise<string> {
  let text = ''
  for await (const { choices } of await openai.chat.completions.create({ ...request, stream: true })) {
    text += choices[0]?.delta.content ?? ''
    onText(text)
  }
  return text
}
