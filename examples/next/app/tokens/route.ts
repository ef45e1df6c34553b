import { setTimeout as pause } from 'node:timers/promises'
import { sse } from 'spillway/next'

export const POST = sse(async function* (stream, request) {
  const { prompt } = await request.json()
  for await (const token of complete(String(prompt), stream.signal)) {
    yield { event: 'token', data: { token } }
  }
  yield { event: 'done', data: '' }
})

// Stands in for a language model. The client of a real one accepts a signal too, so that unread tokens cost nothing.
async function* complete(prompt: string, signal: AbortSignal) {
  signal.addEventListener('abort', () => console.log('The model is stopped.'))
  for (const word of prompt.split(/(?= )/)) {
    await pause(100, undefined, { signal })
    yield word
  }
}
