import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { get } from '../../support/client.ts'
import { requireProgram } from '../../support/program.ts'

const root = join(import.meta.dirname, '../../..')

/** Returns the path of a runtime from the fixture or from `PATH`. If there is none, its tests are skipped. */
export function findRuntime(name: string): string | undefined {
  const installed = join(root, 'test/fixtures/runtimes/node_modules/.bin', name)
  return existsSync(installed) ? installed : requireProgram({ commands: [name], install: 'npm run fixtures' })
}

/** An event that `server.js` reports. */
export type Report = Readonly<Record<string, unknown>>

/** A script in a separate process. It prints a line with its URL and then lines of JSON. */
export class Running {
  readonly reports: Report[] = []
  url = ''
  readonly exited: Promise<unknown>
  readonly #child: ChildProcess
  #watchers: Array<() => void> = []
  #isOver = false
  #errors = ''

  private constructor(command: readonly string[], script: string, env: object) {
    const [program = '', ...args] = [...command, script]
    this.#child = spawn(program, args, {
      cwd: root,
      env: { ...process.env, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    this.#child.stderr?.setEncoding('utf8').on('data', (text) => {
      this.#errors += text
      // `deno serve` prints the URL here.
      this.url ||= /Listening on (http:\S+)/.exec(this.#errors)?.[1] ?? ''
      this.#look()
    })
    this.exited = once(this.#child, 'exit').then(([code]) => code)
    if (this.#child.stdout) createInterface(this.#child.stdout).on('line', (line) => this.#take(line))
    this.#child.once('close', () => {
      this.#isOver = true
      this.#look()
    })
  }

  /** Resolves when the script has printed its URL. */
  static async start(command: readonly string[], script: string, env: object = {}): Promise<Running> {
    const running = new Running(command, script, env)
    await running.#until(() => running.url !== '')
    return running
  }

  get port(): number {
    return Number(new URL(this.url).port)
  }

  /** Resolves with the first report that has these properties. */
  async report(wanted: Report): Promise<Report> {
    const find = () =>
      this.reports.find((each) => Object.entries(wanted).every(([name, value]) => each[name] === value))
    await this.#until(() => find() !== undefined)
    return find() as Report
  }

  /** Sends an order to `server.js`. Resolves with its result. */
  async order(what: string, key = '', text = ''): Promise<unknown> {
    const path = `/order/${what}?key=${key}&text=${text}`
    const client = await get('http', this.port, { path })
    await client.ended
    return JSON.parse(client.body)
  }

  kill(signal: NodeJS.Signals): void {
    this.#child.kill(signal)
  }

  async stop(): Promise<void> {
    this.kill('SIGKILL')
    await this.exited
  }

  #take(line: string): void {
    if (this.url === '') this.url = /http:\S+/.exec(line)?.[0] ?? ''
    else this.reports.push(line.startsWith('{') ? JSON.parse(line) : { line })
    this.#look()
  }

  #look(): void {
    for (const look of this.#watchers) look()
  }

  async #until(isMet: () => boolean): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      const look = () => {
        if (isMet()) resolve()
        else if (this.#isOver) reject(new Error(`The process is over. ${this.#errors}`))
        else return
        this.#watchers = this.#watchers.filter((each) => each !== look)
      }
      this.#watchers.push(look)
      look()
    })
  }
}
