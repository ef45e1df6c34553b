import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { onTestFinished } from 'vitest'

const main = join(import.meta.dirname, '../../dist/esm/cli/main.js')

/** The output of a command, with its exit status or the signal that ended it. */
export interface CommandResult {
  readonly status: number | string
  readonly output: string
  readonly errors: string
}

/** Starts the built command `spillway`. Its process is killed after the test. */
export function startSpillway(args: readonly string[], env: Readonly<Record<string, string>> = {}) {
  const child = spawn(process.execPath, [main, ...args], {
    // Vitest sets variables that enable colours.
    env: { NODE_ENV: 'production', PATH: process.env.PATH, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  onTestFinished(() => void child.kill('SIGKILL'))
  const result = async (): Promise<CommandResult> => {
    const [output, errors, [status, signal]] = await Promise.all([
      text(child.stdout),
      text(child.stderr),
      once(child, 'close'),
    ])
    return { status: status ?? signal, output, errors }
  }
  return { child, result: result() }
}

/** Runs the built command `spillway` until it ends. */
export function spillway(...args: readonly string[]): Promise<CommandResult> {
  return startSpillway(args).result
}
