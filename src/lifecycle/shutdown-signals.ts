import type { constants } from 'node:os'
import { builtinModule } from '../runtime.ts'
import { atTurnEnd } from '../scheduler/turn.ts'
import { beginExit } from './draining.ts'
import type { GracefulShutdownSettings } from './shutdown-options.ts'

// The global `process` would cause warnings of bundlers for edge runtimes.
const node = builtinModule<NodeJS.Process>('node:process') as NodeJS.Process

// `npm start` forwards the signal of Ctrl-C, which the process has already received from the terminal. In ms.
const SAME_SIGNAL = 100

/** Receives signals. */
export interface SignalOwner {
  /** Called at the first signal. */
  onSignal(): void
  /** Called at the second signal. */
  onForce(): void
}

/** Listens for the signals that end a process, and ends it. */
export class ShutdownSignals {
  readonly #settings: GracefulShutdownSettings
  readonly #owner: SignalOwner
  #signalledAt: number | undefined
  #endExit: ReturnType<typeof beginExit> | undefined

  constructor(settings: GracefulShutdownSettings, owner: SignalOwner) {
    this.#settings = settings
    this.#owner = owner
    for (const signal of settings.signals) node.on(signal, this.#onSignal)
  }

  /** Ends the process if a signal has begun the shutdown, and no other shutdown is in progress. */
  end(hasFailed: boolean): void {
    this.#ignoreSignals()
    if (!this.#endExit) return
    if (hasFailed) node.exitCode ??= 1
    const exitsAt = this.#endExit(this.#earliestExit)
    if (exitsAt === undefined) return
    const timeLeft = exitsAt - performance.now()
    if (timeLeft <= 0) node.exit()
    else setTimeout(() => node.exit(), timeLeft).unref()
  }

  // Without a server, responses of the application may still be finishing.
  get #earliestExit(): number {
    const { servers, delay, grace } = this.#settings
    return servers.length > 0 ? 0 : (this.#signalledAt ?? 0) + delay + grace
  }

  readonly #onSignal = (signal: NodeJS.Signals): void => {
    const now = performance.now()
    if (this.#signalledAt === undefined) {
      this.#signalledAt = now
      if (this.#settings.exit) this.#endExit = beginExit()
      this.#owner.onSignal()
    } else if (now - this.#signalledAt >= SAME_SIGNAL) this.#force(signal)
  }

  #force(signal: NodeJS.Signals): void {
    this.#ignoreSignals()
    this.#owner.onForce()
    // At the end of the turn, so that the listeners of other shutdowns run before.
    if (this.#endExit) atTurnEnd(() => kill(signal))
  }

  #ignoreSignals(): void {
    for (const signal of this.#settings.signals) node.off(signal, this.#onSignal)
  }
}

/** Ends the process by a signal, or with its exit code if the signal does not end it. */
function kill(signal: NodeJS.Signals): void {
  if (node.listenerCount(signal) === 0) node.kill(node.pid, signal)
  // The kernel ignores a signal to the first process of a container.
  const { signals } = builtinModule<{ constants: typeof constants }>('node:os')?.constants ?? {}
  node.exit(128 + (signals?.[signal] ?? 0))
}
