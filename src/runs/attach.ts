import { reportGap } from '../stream/gap.ts'
import type { SseStream } from '../stream/stream.ts'
import { positionOf } from './run-id.ts'
import type { RunLog } from './run-log.ts'
import { type GapOptions, RunSubscription } from './run-subscription.ts'

/**
 * Subscribes a stream to the log of a run, from its resume point. Returns undefined if the client has received
 * everything, and was refused with a 204.
 */
export function attach(stream: SseStream, log: RunLog, options: GapOptions): RunSubscription | undefined {
  const resume = stream._resumePoint
  if (resume === 'new') return new RunSubscription(stream, log, options)
  if (resume === 'unreadable') return new RunSubscription(stream, log, options, undefined, 'unreadable')
  const position = positionOf(resume.id, log.epoch)
  // The id belongs to another run, or to events that the broker has lost.
  if (!position || position.number > log.position)
    return new RunSubscription(stream, log, options, undefined, 'unknown')
  if (!log.end || position.number < log.position) return new RunSubscription(stream, log, options, position)
  // An `EventSource` stops reconnecting after a 204. If the headers were sent, its client receives the last event
  // again.
  if (refuse(stream, 204)) return undefined
  return new RunSubscription(stream, log, options, { number: position.number - 1 })
}

/** Responds to a client of a run that does not exist: with a 404, or with a gap if the response headers were sent. */
export async function refuseUnknown(stream: SseStream, { onGap, gapEvent }: GapOptions): Promise<void> {
  if (stream.closed || refuse(stream, 404)) return
  const send = (event: Parameters<SseStream['send']>[0]) => Promise.resolve(stream.send(event))
  const gap = { lastEventId: stream.lastEventId, reason: 'unknown' as const }
  await reportGap(stream, gap, {
    hooks: [onGap],
    gapEvent,
    sendAll: (source) => stream.sendAll(source),
    send,
  })
  stream.close()
}

function refuse(stream: SseStream, status: number): boolean {
  const isRefused = stream._connection.output.refuse({ status })
  if (isRefused) stream.destroy()
  return isRefused
}
