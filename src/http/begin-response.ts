import { compress } from '../compression/compress.ts'
import type { SseStream } from '../stream/stream.ts'
import type { NodeResponse } from '../transports/node-response.ts'
import { nodeTransport } from '../transports/node-socket.ts'
import type { Transport } from '../transports/transport.ts'
import { preambleOf, sendHead } from './head.ts'
import type { Settings } from './options.ts'
import type { LongPoll } from './poll-answer.ts'
import { type PollHooks, pollTransport } from './send-poll.ts'

/**
 * Sends the response headers of a stream, unless it is a long poll. Returns its transport. Throws errors of a
 * middleware.
 */
export function beginResponse(
  response: NodeResponse,
  settings: Settings,
  poll: LongPoll | undefined,
  streamOf: () => SseStream,
  hooks: PollHooks = {},
): Transport {
  if (poll) return pollTransport(response, settings, poll, streamOf, hooks)
  hooks.beforeHeaders?.()
  const encoding = sendHead(response, settings)
  hooks.onHeaders?.()
  return compress(nodeTransport(response), encoding, preambleOf(settings))
}
