import { setDeadline } from './backoff.ts'
import type { ReceivedEvent } from './engine.ts'
import { createParser } from './parser.ts'
import { type Body, bodyOf, type Prepared, type Requester, textOf } from './request.ts'
import { type WatchdogOwner, watch } from './watchdog.ts'

/** Is notified of a stream, and may abort it in each call. */
export interface StreamOwner extends WatchdogOwner {
  /** When the response headers arrived. 0 before. */
  openedAt: number
  /** There are no response headers within 2 s, or no first byte within 500 ms of them. */
  onLate(reason: 'no-headers' | 'no-first-byte'): void
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
  request: Prepared,
  owner: StreamOwner,
  start: string,
): Promise<boolean> {
  const { headers, signal } = request.init
  headers.set('accept', 'text/event-stream')
  // [spec] The id is sent as UTF-8, but `fetch` accepts only characters up to U+00FF, one for each byte.
  if (start) headers.set('last-event-id', String.fromCharCode(...new TextEncoder().encode(start)))
  Object.assign(request.init, { cache: 'no-store' })
  owner.openedAt = 0
  const clear = setDeadline(2000, () => owner.onLate('no-headers'), signal)
  const response = await requester.send(request)
  clear()
  if (response.status === 204) return false
  const body = await bodyOf(response, /^text\/event-stream/i)
  owner.openedAt = Date.now()
  const clearFirst = setDeadline(500, () => owner.onLate('no-first-byte'), signal)
  await readStream(body, owner, start, signal, clearFirst)
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
