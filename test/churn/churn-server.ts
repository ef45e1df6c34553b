import { type ChildProcess, fork } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import { environment } from '../fixtures/next-build/build.ts'

export interface Answer {
  readonly port?: number
  /** In bytes. */
  readonly heap?: number
  readonly counts?: Readonly<Record<string, number>>
}

/** A server in a process of its own, which ends with the test. */
export class ChurnServer {
  readonly socketPath: string
  readonly #child: ChildProcess
  #onAnswer: (answer: Answer) => void = () => {}
  #onExit: (error: Error) => void = () => {}
  /** What it has printed. */
  output = ''

  constructor(adapter: string, application = '') {
    const folder = mkdtempSync(join(tmpdir(), 'spillway-'))
    this.socketPath = join(folder, 'socket')
    this.#child = fork(join(import.meta.dirname, 'server.js'), [adapter, this.socketPath, application], {
      env: { ...process.env, ...(application && environment) },
      execArgv: ['--expose-gc', '--disable-warning=ExperimentalWarning'],
      silent: true,
    })
    for (const stream of [this.#child.stdout, this.#child.stderr])
      stream?.on('data', (text: Buffer) => {
        this.output += text
      })
    this.#child.on('message', (answer) => this.#onAnswer(answer as Answer))
    this.#child.on('exit', () => this.#onExit(new Error(`The server has exited. ${this.output}`)))
    onTestFinished(() => {
      this.#child.kill('SIGKILL')
      rmSync(folder, { recursive: true })
    })
  }

  /** Resolves with its next message. */
  answer(): Promise<Answer> {
    return new Promise((resolve, reject) => {
      this.#onAnswer = resolve
      this.#onExit = reject
    })
  }

  request(name: 'start' | 'measure' | 'count'): Promise<Answer> {
    const answer = this.answer()
    this.#child.send(name)
    return answer
  }
}
