import type { Terminal } from './terminal.ts'

/** The exit statuses of every command. */
export const EXIT = {
  ok: 0,
  /** The command ran, but its result failed a check. */
  failed: 1,
  /** The command could not run: a wrong flag, a wrong URL, no connection. */
  unusable: 2,
  /** A signal ended the command before it was complete, as shells report SIGINT. */
  interrupted: 130,
} as const

/** One command of `npx spillway`. */
export interface Command {
  /** The text of `--help`. */
  readonly help: string
  /** Resolves with the exit status. Rejects with `UsageError` if the command cannot run. */
  run(args: readonly string[], terminal: Terminal): Promise<number>
}
