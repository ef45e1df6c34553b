import Anthropic from '@anthropic-ai/sdk'
import { ChatOpenAI } from '@langchain/openai'
import Groq from 'groq-sdk'
import OpenAI from 'openai'
import type { SseEvent } from '../../src/event/event.ts'

/** Texts of a response, with a line end, and characters of two and four bytes. */
export const TEXT = ['Water\n', 'über ', '🦆\r\n']
export const DONE = { data: '[DONE]' }

export const completionChunk = (content: string) => ({
  id: 'c1',
  object: 'chat.completion.chunk',
  created: 1,
  model: 'm',
  choices: [{ index: 0, delta: { content }, finish_reason: null }],
})

/** The events of an SDK for chat completions. */
const COMPLETION: readonly SseEvent[] = [...TEXT.map((each) => ({ data: completionChunk(each) })), DONE]

/** The events of the SDK of Anthropic. */
const MESSAGE: readonly SseEvent[] = [
  {
    type: 'message_start',
    message: { id: 'm1', type: 'message', role: 'assistant', model: 'm', content: [], usage: {} },
  },
  { type: 'content_block_start', index: 0, content_block: { type: 'text', text: '' } },
  ...TEXT.map((text) => ({ type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text } })),
  { type: 'content_block_stop', index: 0 },
  { type: 'message_delta', delta: { stop_reason: 'end_turn' }, usage: { output_tokens: 3 } },
  { type: 'message_stop' },
].map((data) => ({ event: data.type, data }))

const auth = { apiKey: 'none', maxRetries: 0 }
const prompt = [{ role: 'user', content: 'hello' }] as const

interface Sdk {
  readonly name: string
  /** Requests a stream as the package does, and yields its texts. The package appends its path to the URL. */
  readonly read: (url: string) => AsyncIterable<string>
  /** The events that it expects. */
  readonly events: readonly SseEvent[]
}

/** SDKs that request a stream with `Accept: application/json`, unmodified. */
export const SDKS: readonly Sdk[] = [
  { name: 'openai', read: readFromOpenAI, events: COMPLETION },
  { name: 'groq-sdk', read: readFromGroq, events: COMPLETION },
  { name: '@langchain/openai', read: readFromLangChain, events: COMPLETION },
  { name: '@anthropic-ai/sdk', read: readFromAnthropic, events: MESSAGE },
]

/** Returns the events for the body of a request. Only the SDK of Anthropic sends `max_tokens`. */
export function eventsFor(body: object): readonly SseEvent[] {
  return 'max_tokens' in body ? MESSAGE : COMPLETION
}

async function* readFromOpenAI(baseURL: string) {
  const openai = new OpenAI({ baseURL, ...auth })
  const chunks = await openai.chat.completions.create({ model: 'm', messages: [...prompt], stream: true })
  for await (const { choices } of chunks) yield choices[0]?.delta.content ?? ''
}

async function* readFromGroq(baseURL: string) {
  const groq = new Groq({ baseURL, ...auth })
  const chunks = await groq.chat.completions.create({ model: 'm', messages: [...prompt], stream: true })
  for await (const { choices } of chunks) yield choices[0]?.delta.content ?? ''
}

async function* readFromLangChain(baseURL: string) {
  const model = new ChatOpenAI({ ...auth, model: 'm', configuration: { baseURL } })
  for await (const { text } of await model.stream('hello')) yield text
}

async function* readFromAnthropic(baseURL: string) {
  const anthropic = new Anthropic({ baseURL, ...auth })
  yield await anthropic.messages.stream({ model: 'm', max_tokens: 9, messages: [...prompt] }).finalText()
}
