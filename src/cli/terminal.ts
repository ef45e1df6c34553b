import { once } from 'node:events'
import type { Writable } from 'node:stream'

/** The output streams of a command, and the signal that ends it. */
export interface Terminal {
  /** The result. */
  readonly out: Writable
  /** Progress and errors, so that the result can be piped. */
  readonly err: Writable
  /** Whether `err` is a terminal, on which a line can be replaced. */
  readonly isInteractive: boolean
  /** Whether `out` shows colours: a terminal, unless NO_COLOR is set or `--no-color` is given. */
  readonly hasColor: boolean
  /** The columns of `err`, for example 80. */
  readonly columns: number
  /** Aborted by SIGINT and SIGTERM. A second signal ends the process at once. */
  readonly signal: AbortSignal
}

/** Returns the terminal of the process. */
export function processTerminal(args: readonly string[], signal: AbortSignal): Terminal {
  const { stdout, stderr, env } = process
  const isDumb = env.TERM === 'dumb'
  const isPlain = isDumb || (env.NO_COLOR ?? '') !== '' || args.includes('--no-color')
  return {
    out: stdout,
    err: stderr,
    isInteractive: stderr.isTTY === true && !isDumb,
    hasColor: stdout.isTTY === true && !isPlain,
    // Some terminals report a width of 0.
    columns: stderr.columns || 80,
    signal,
  }
}

/** Writes text, and waits until the stream has room for more. */
export async function print(stream: Writable, text: string): Promise<void> {
  if (!stream.write(text)) await once(stream, 'drain')
}
