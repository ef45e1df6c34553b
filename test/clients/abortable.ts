import axios from 'axios'
import OpenAI from 'openai'

/** Sends a request that a signal aborts. */
export type AbortableRequest = (url: string, signal: AbortSignal) => Promise<unknown>

/** Clients for an upstream, whose errors after an abort have different names. */
export const ABORTABLE: ReadonlyArray<readonly [name: string, ask: AbortableRequest]> = [
  ['fetch', (url, signal) => fetch(url, { signal })],
  ['the body of fetch', async (url, signal) => (await fetch(`${url}?begin`, { signal })).text()],
  ['axios', (url, signal) => axios.get(url, { signal })],
  ['openai', askOpenAI],
]

function askOpenAI(baseURL: string, signal: AbortSignal): Promise<unknown> {
  const openai = new OpenAI({ baseURL, apiKey: 'none', maxRetries: 0 })
  return openai.chat.completions.create({ model: 'm', messages: [], stream: true }, { signal })
}
