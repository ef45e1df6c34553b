'use client'

import { EventSourceParserStream } from 'eventsource-parser/stream'
import { type FormEvent, useState } from 'react'

/** Requests tokens with a POST, which an `EventSource` cannot send, and shows them as they arrive. */
export function Completion() {
  const [tokens, setTokens] = useState('')
  const [asking, setAsking] = useState<AbortController>()

  async function ask(event: FormEvent<HTMLFormElement>) {
    event.preventDefault()
    const prompt = new FormData(event.currentTarget).get('prompt')
    const controller = new AbortController()
    setAsking(controller)
    setTokens('')
    try {
      for await (const token of tokensFor(prompt, controller.signal)) setTokens((before) => before + token)
    } catch (error) {
      if (!controller.signal.aborted) throw error
    } finally {
      setAsking(undefined)
    }
  }

  return (
    <form onSubmit={ask}>
      <input
        name="prompt"
        aria-label="Prompt"
        size={40}
        defaultValue="Say it again, one word after the other"
      />
      <button type="submit">Ask</button>
      <button type="button" disabled={!asking} onClick={() => asking?.abort()}>
        Stop
      </button>
      <p>
        <output>{tokens}</output>
      </p>
    </form>
  )
}

async function* tokensFor(prompt: unknown, signal: AbortSignal) {
  const { body } = await fetch('/tokens', { method: 'POST', body: JSON.stringify({ prompt }), signal })
  const text = body?.pipeThrough(new TextDecoderStream() as ReadableWritablePair<string, Uint8Array>)
  const reader = text?.pipeThrough(new EventSourceParserStream()).getReader()
  for (;;) {
    const event = (await reader?.read())?.value
    if (event?.event !== 'token') return
    yield JSON.parse(event.data).token
  }
}
