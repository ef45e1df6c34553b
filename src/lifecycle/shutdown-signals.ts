import type { constants } from 'node:os'
import { builtinModule } from '../runtime.ts'
import { atTurnEnd } from '../scheduler/turn.ts'
import { beginExit } from './draining.ts'
import type { GracefulShutdownSettings } from './shutdown-options.ts'

// Not the global, because bundlers for edge runtimes warn of its functions.
const node = builtinModule<NodeJS.Process>('node:process') as NodeJS.Process

// `npm start` passes on the signal of Ctrl-C, which the process has got from the terminal too. In ms.
const SAME_SIGNAL = 100

/** Is notified of signals. */
export interface SignalOwner {
  /** The first signal. */
  onSignal(): void
  /** The second signal. */
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

  /** Ends the process if a signal has begun the shutdown, and if no other shutdown goes on. */
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
    // After the listeners of other shutdowns.
    if (this.#endExit) atTurnEnd(() => kill(signal))
  }

  #ignoreSignals(): void {
    for (const signal of this.#settings.signals) node.off(signal, this.#onSignal)
  }
}

/** Ends the process by a signal, or with its exit code if the signal does not end it. */
function kill(signal: NodeJS.Signals): void {
  if (node.listenerCount(signal) === 0) node.kill(node.pid, signal)
  // The kernel does not end the first process of a container by a signal.
  const { signals } = builtinModule<{ constants: typeof constants }>('node:os')?.constants ?? {}
  node.exit(128 + (signals?.[signal] ?? 0))
}
