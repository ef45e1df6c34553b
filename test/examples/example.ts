import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { afterAll, beforeAll } from 'vitest'

const folder = join(import.meta.dirname, '../../examples')

/** An example in a separate process, as a reader starts it. */
export class Example {
  /** The URL that the example prints in its first line. */
  readonly url: string
  /** The lines that it prints after that one. */
  readonly lines: AsyncIterator<string>
  readonly #process: ChildProcess

  private constructor(url: string, lines: AsyncIterator<string>, process: ChildProcess) {
    this.url = url
    this.lines = lines
    this.#process = process
  }

  /** Starts an example on a free port. */
  static async start(name: string, env: Record<string, string> = {}): Promise<Example> {
    const child = spawn(process.execPath, [join(folder, name)], {
      env: { ...process.env, PORT: '0', ...env },
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    const lines = createInterface(child.stdout)[Symbol.asyncIterator]()
    const [url] = /http\S+/.exec((await lines.next()).value ?? '') ?? []
    if (!url) throw new Error(`${name} printed no URL.`)
    return new Example(url, lines, child)
  }

  get port(): number {
    return Number(new URL(this.url).port)
  }

  /** Sends a signal to the process. */
  signal(name: NodeJS.Signals): void {
    this.#process.kill(name)
  }

  /** Ends the process as an operator does. Resolves with its exit code, or the signal that ended it. */
  async stop(): Promise<number | NodeJS.Signals | null> {
    const { exitCode, signalCode } = this.#process
    if (exitCode !== null || signalCode !== null) return exitCode ?? signalCode
    this.#process.kill('SIGTERM')
    const [code, signal] = await once(this.#process, 'exit')
    return code ?? signal
  }
}

/** Starts an example for the tests of a `describe`. */
export function startExample(
  name: string,
  env?: Record<string, string>,
): Pick<Example, 'url' | 'lines' | 'signal'> {
  let example: Example
  beforeAll(async () => {
    example = await Example.start(name, env)
  })
  afterAll(() => example?.stop())
  return {
    get url() {
      return example.url
    },
    get lines() {
      return example.lines
    },
    signal: (name) => example.signal(name),
  }
}
