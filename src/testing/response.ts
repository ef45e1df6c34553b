import { Readable } from 'node:stream'
import type { Answer } from './answer.ts'

/** A web `Response`, of whichever implementation. */
export function responseAnswer(response: Response): Answer {
  const { status, headers, body } = response
  // It reads nothing ahead: a client that is paused takes nothing.
  const readable = body ? Readable.fromWeb(body as never, { highWaterMark: 0 }) : Readable.from([])
  return { status, headers, body: readable, leave: async () => void readable.destroy() }
}
