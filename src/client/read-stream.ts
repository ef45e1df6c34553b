import { setDeadline } from './backoff.ts'
import type { ReceivedEvent } from './engine.ts'
import { createParser } from './parser.ts'
import { type Body, bodyOf, type Requester, textOf } from './request.ts'
import { type WatchdogOwner, watch } from './watchdog.ts'

/** Is notified of a stream, and may abort it in each call. */
export interface StreamOwner extends WatchdogOwner {
  /** When the response headers arrived. 0 before. */
  openedAt: number
  /** Adds to the URL of a request. May throw, so that it is not sent. */
  onUrl(url: URL): void
  onFirstByte(start: string): void
  onEvent(event: ReceivedEvent): void
  onRetry(ms: number): void
  /** The events of a read have been delivered. */
  onRead(id: string): void
}

/**
 * Requests an event stream that begins after an id, and reads it. Resolves with true at its end, with false if the server
 * has nothing more to send. Rejects when the request fails or the stream is cut.
 */
export async function requestStream(
  requester: Requester,
  owner: StreamOwner,
  start: string,
  signal: AbortSignal,
): Promise<boolean> {
  let clear = () => {}
  owner.openedAt = 0
  const response = await requester.send(signal, 'no-store', (url, headers) => {
    owner.onUrl(url)
    headers.set('accept', 'text/event-stream')
    // [spec] The id is sent as UTF-8, but `fetch` accepts only characters up to U+00FF, one for each byte.
    if (start) headers.set('last-event-id', String.fromCharCode(...new TextEncoder().encode(start)))
    clear = setDeadline(2000, () => owner.onSuspicion('no-headers'), signal)
  })
  clear()
  if (response.status === 204) return false
  const body = await bodyOf(response, /^text\/event-stream/i)
  owner.openedAt = Date.now()
  clear = setDeadline(500, () => owner.onSuspicion('no-first-byte'), signal)
  await readStream(body, owner, start, signal, clear)
  return true
}

async function readStream(
  body: Body,
  owner: StreamOwner,
  start: string,
  signal: AbortSignal,
  clearDeadline: () => void,
): Promise<void> {
  let id = start
  let blocks = 0
  let onBytes: ((blocks: number) => void) | undefined
  const parse = createParser(
    id,
    (blockId, event) => {
      id = blockId
      blocks++
      if (event && !signal.aborted) owner.onEvent(event)
    },
    (name, value) => {
      if (name === 'retry' && /^\d+$/.test(value)) owner.onRetry(Number(value))
      if (name) return
      blocks++
      const [, interval] = /^heartbeat (\d{1,9})$/.exec(value) ?? []
      if (Number(interval)) onBytes ??= watch(Number(interval), owner, signal)
    },
  )
  let isFirst = true
  for await (const text of textOf(body)) {
    if (isFirst) {
      clearDeadline()
      owner.onFirstByte(start)
    }
    isFirst = false
    blocks = 0
    if (!signal.aborted) parse(text)
    if (signal.aborted) return
    owner.onRead(id)
    onBytes?.(blocks)
    await owner.paused
  }
}
