import type { NatsConnection } from './client.ts'

type Callback = NonNullable<NonNullable<Parameters<NatsConnection['subscribe']>[1]>['callback']>

/** A message or a status as it is received. */
export type Message = Parameters<Callback>[1]

export interface StreamMessage {
  readonly sequence: number
  readonly subject: string
  readonly payload: string
  /** How many more messages there were when this one was sent. */
  readonly pending: number
  /** When the message was stored, in ms since 1970. */
  readonly time: number
}

export function streamMessageOf(message: Message): StreamMessage {
  const { delivered: _, ...position } = parseReply(message)
  return { ...position, subject: message.subject, payload: message.string() }
}

// Parses `$JS.ACK.<stream>.<consumer>.<times>.<sequence>.<delivered>.<time>.<pending>`. Alternatively, a domain and an
// account precede the stream, and more tokens follow.
export function parseReply({ reply = '' }: Message) {
  const tokens = reply.split('.')
  const first = tokens.length === 9 ? 5 : 7
  const [sequence = 0, delivered = 0, nanos = 0, pending = 0] = tokens.slice(first).map(Number)
  return { sequence, delivered, pending, time: nanos / 1e6 }
}
