import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Ajv2020 } from 'ajv/dist/2020.js'
import { onTestFinished } from 'vitest'
import type { LoadReport } from '../../../src/cli/load/report.ts'

const MAIN = join(import.meta.dirname, '../../../dist/esm/cli/main.js')

/** No machine is too slow for these limits, so that durations are always reported. */
export const NEVER_REFUSED = ['--max-worker-busy', '100%', '--max-worker-delay', '596h']

const SCHEMA = join(import.meta.dirname, '../../../schemas/load-report.json')

const ajv = new Ajv2020({ allErrors: true })
const isReport = ajv.compile(JSON.parse(readFileSync(SCHEMA, 'utf8')))
const errorsText = () => ajv.errorsText(isReport.errors)

/** A running `npx spillway load`. It is killed at the end of the test. */
export class LoadProcess {
  readonly process: ChildProcess
  out = ''
  err = ''
  readonly #closed: Promise<unknown>

  constructor(args: readonly string[]) {
    this.process = spawn(process.execPath, [MAIN, 'load', ...args], { stdio: ['ignore', 'pipe', 'pipe'] })
    this.process.stdout?.setEncoding('utf8').on('data', (text: string) => {
      this.out += text
    })
    this.process.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.err += text
    })
    this.#closed = once(this.process, 'close')
    onTestFinished(() => {
      this.process.kill('SIGKILL')
    })
  }

  /** Ends the run with its summary. */
  interrupt(): void {
    this.process.kill('SIGINT')
  }

  /** Resolves when the progress matches. */
  async progress(pattern: RegExp): Promise<void> {
    while (!pattern.test(this.err)) await once(this.process.stderr ?? this.process, 'data')
  }

  async status(): Promise<number | null> {
    await this.#closed
    return this.process.exitCode
  }

  /** Resolves with the report of a run with `--json`, without regard to its exit status. It must match the schema. */
  async report(): Promise<LoadReport> {
    await this.#closed
    const report = this.#parse()
    if (!isReport(report)) throw new Error(`The report does not match its schema: ${errorsText()}`)
    return report as LoadReport
  }

  #parse(): unknown {
    try {
      return JSON.parse(this.out)
    } catch {
      throw new Error(`There is no report. Status ${this.process.exitCode}: ${this.err}`)
    }
  }
}

/** Begins a run that ends by `interrupt`, so that a slow machine has the time that it needs. */
export function startLoad(url: string, ...args: string[]): LoadProcess {
  return new LoadProcess([url, '--json', '--duration', '10m', '--retry', '5ms', ...NEVER_REFUSED, ...args])
}
