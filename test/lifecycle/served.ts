import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface, type Interface } from 'node:readline'
import { onTestFinished } from 'vitest'

/** A process of `server.js`. It is killed after the test. */
export class Served {
  readonly process: ChildProcess
  /** The lines that it has printed. */
  readonly lines: string[] = []
  readonly #output: Interface

  private constructor(process: ChildProcess) {
    this.process = process
    this.#output = createInterface(process.stdout as NonNullable<ChildProcess['stdout']>)
    this.#output.on('line', (line) => this.lines.push(line))
    onTestFinished(() => void process.kill('SIGKILL'))
  }

  /** Starts a server. Resolves when it has printed its first line. */
  static async start(
    adapter: string,
    options: object = {},
    env: Record<string, string> = {},
  ): Promise<Served> {
    const args = [join(import.meta.dirname, 'server.js'), adapter, JSON.stringify(options)]
    const stdio = ['ignore', 'pipe', 'inherit'] as const
    const served = new Served(
      spawn(process.execPath, args, { env: { ...process.env, ...env }, stdio: [...stdio] }),
    )
    await served.printed(() => served.lines.length > 0)
    return served
  }

  get url(): string {
    return this.lines[0] as string
  }

  get port(): number {
    return Number(new URL(this.url).port)
  }

  get pid(): string {
    return String(this.process.pid)
  }

  /** Resolves when its output satisfies a condition. */
  async printed(condition: () => boolean): Promise<void> {
    while (!condition()) await once(this.#output, 'line')
  }

  /** Resolves with its exit code, or with the signal that has ended it. */
  async exit(): Promise<number | NodeJS.Signals | null> {
    const { exitCode, signalCode } = this.process
    if (exitCode === null && signalCode === null) await once(this.process, 'exit')
    return this.process.exitCode ?? this.process.signalCode
  }
}
