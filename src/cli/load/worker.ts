import { type Command, EXIT } from '../command.ts'
import { UsageError } from '../usage-error.ts'
import type { ParentMessage, WorkerMessage } from './plan.ts'
import { StreamSet } from './stream-set.ts'

const BATCH_INTERVAL = 250
const CHECK_INTERVAL = 20
const ADJUST_INTERVAL = 1000

/** The internal command that `load` runs in its worker processes. */
export const loadWorker: Command = {
  help: 'This command is run by npx spillway load.\n',
  async run() {
    if (!process.send) throw new UsageError('load-worker is run by npx spillway load.')
    // The parent was killed. On Ctrl-C, which reaches this process too, the parent ends it.
    process.on('disconnect', () => process.exit())
    if (!process.connected) process.exit()
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => {})
    await runWorker()
    return EXIT.ok
  },
}

function runWorker(): Promise<void> {
  return new Promise((_, reject) => {
    let streams: StreamSet | undefined
    process.on('message', (message: ParentMessage) => {
      try {
        if (message.type === 'start') streams = start(message)
        else if (streams && message.type === 'unpublished') streams.unpublished.push(message.number)
        else if (streams && message.type === 'settle') settle(streams)
        else if (streams && message.type === 'finish') finish(streams, message)
      } catch (error) {
        reject(error)
      }
    })
    send({ type: 'ready' })
  })
}

function start({ plan, worker, startAt }: Extract<ParentMessage, { type: 'start' }>): StreamSet {
  const streams = new StreamSet(plan, worker, startAt)
  setInterval(() => streams.clock.adjust(), ADJUST_INTERVAL)
  setInterval(() => send({ type: 'batch', report: streams.report() }), BATCH_INTERVAL)
  return streams
}

function settle(streams: StreamSet): void {
  streams.settle()
  send({ type: 'settled', report: streams.report() })
}

function finish(streams: StreamSet, message: Extract<ParentMessage, { type: 'finish' }>): void {
  const { highest, wait } = message
  const deadline = performance.now() + wait
  const timer = setInterval(() => {
    if (!streams.hasReached(highest) && performance.now() < deadline) return
    clearInterval(timer)
    streams.finish(highest)
    // Exit only after the message was written.
    send({ type: 'final', report: streams.report() }, () => process.exit())
  }, CHECK_INTERVAL)
}

function send(message: WorkerMessage, onSent?: () => void): void {
  // An error means that the parent has exited, after which `disconnect` is emitted.
  process.send?.(message, undefined, undefined, () => onSent?.())
}
