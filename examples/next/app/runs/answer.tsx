'use client'

import { type FormEvent, useEffect, useState } from 'react'

const NOTHING = { question: '', text: '', ending: '' }
const ENDINGS: Record<string, string> = {
  done: 'That was all.',
  stopped: 'Stopped.',
  error: 'The model has failed.',
  lost: 'The server was lost.',
}

/**
 * Shows an answer. Reload the page, close it or open it twice in the middle of the answer. Each page shows the whole
 * text once.
 */
export function Answer() {
  const id = useHash()
  const { question, text, ending } = useAnswer(id)

  async function ask(event: FormEvent<HTMLFormElement>) {
    event.preventDefault()
    const body = new FormData(event.currentTarget).get('question')
    const response = await fetch('/answers', { method: 'POST', body })
    // The model continues, and this tab subscribes to its answer as every other tab does.
    response.body?.cancel()
    location.hash = response.headers.get('Location')?.split('/').at(-1) ?? ''
  }

  return (
    <form onSubmit={ask}>
      <input name="question" aria-label="Question" size={40} defaultValue="What is a spillway?" />
      <button type="submit">Ask</button>
      <button
        type="button"
        disabled={!id || ending !== ''}
        onClick={() => fetch(`/answers/${id}`, { method: 'DELETE' })}
      >
        Stop
      </button>
      <blockquote>{question}</blockquote>
      <p>
        <output>{text}</output>
      </p>
      <small>{ending}</small>
    </form>
  )
}

/**
 * Returns the id of the answer from the hash of the URL, so that a reload, a second tab and a bookmark show the same
 * answer.
 */
function useHash() {
  const [hash, setHash] = useState('')
  useEffect(() => {
    const read = () => setHash(location.hash.slice(1))
    read()
    addEventListener('hashchange', read)
    return () => removeEventListener('hashchange', read)
  }, [])
  return hash
}

function useAnswer(id: string) {
  const [shown, setShown] = useState(NOTHING)
  useEffect(() => {
    setShown(NOTHING)
    if (!id) return
    const source = new EventSource(`/answers/${id}`)
    const end = (ending: string) => {
      source.close()
      setShown((before) => ({ ...before, ending }))
    }
    source.addEventListener('question', ({ data }) => setShown((before) => ({ ...before, question: data })))
    source.addEventListener('word', ({ data }) =>
      setShown((before) => ({ ...before, text: before.text + data })),
    )
    source.addEventListener('end', ({ data }) => end(ENDINGS[JSON.parse(data).reason] ?? data))
    // The server does not have the last event of this tab, and sends everything that it has.
    source.addEventListener('gap', () => setShown(NOTHING))
    // The browser reconnects by itself, unless the answer does not exist any more.
    source.addEventListener('error', () => {
      if (source.readyState === EventSource.CLOSED) end('This answer is not kept any more.')
    })
    return () => source.close()
  }, [id])
  return shown
}
