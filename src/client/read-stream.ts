import type { ReceivedEvent } from './engine.ts'
import { createParser } from './parser.ts'
import { type Body, readText } from './request.ts'
import { type WatchdogOwner, watch } from './watchdog.ts'

/** Receives the contents of a stream, and may abort it in each call. */
export interface StreamOwner extends WatchdogOwner {
  /** The id of the last event or position. It is set before an event is delivered. */
  lastEventId: string
  onFirstByte(start: string): void
  onEvent(event: ReceivedEvent): void
  /** Sets a reconnection time in ms. */
  onRetry(ms: unknown): void
  /** Called when the events of a read have been delivered. */
  onRead(): void
}

/** Reads an event stream that begins after an id. Rejects when it is cut. */
export async function readStream(
  body: Body,
  owner: StreamOwner,
  start: string,
  signal: AbortSignal,
  clearDeadline: () => void,
): Promise<void> {
  let blocks = 0
  let onBytes: ((blocks: number) => void) | undefined
  const parse = createParser(
    start,
    (id, event) => {
      blocks++
      if (signal.aborted) return
      owner.lastEventId = id
      if (event) owner.onEvent(event)
    },
    (name, value) => {
      if (signal.aborted) return
      if (name === 'retry' && /^\d+$/.test(value)) owner.onRetry(value)
      if (name) return
      blocks++
      const interval = Number(/^heartbeat (\d{1,9})$/.exec(value)?.[1])
      if (interval) onBytes ??= watch(interval, owner, signal)
    },
  )
  let isFirst = true
  await readText(body, (text) => {
    if (signal.aborted) return true
    clearDeadline()
    if (isFirst) owner.onFirstByte(start)
    isFirst = false
    blocks = 0
    parse(text)
    if (signal.aborted) return true
    owner.onRead()
    onBytes?.(blocks)
    return owner.paused
  })
}
