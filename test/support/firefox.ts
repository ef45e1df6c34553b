import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { requireProgram } from './program.ts'

const path = requireProgram({
  commands: ['firefox-esr', 'firefox'],
  install: 'apt-get install firefox-esr',
})

/** Whether Firefox is installed, for `describe.skipIf(!hasFirefox)`. */
export const hasFirefox = path !== undefined

/** A headless Firefox, which is controlled by [WebDriver BiDi](https://w3c.github.io/webdriver-bidi/). */
export class Firefox {
  readonly #process: ChildProcess
  readonly #folder: string
  readonly #socket: BidiSocket

  private constructor(process: ChildProcess, folder: string, socket: BidiSocket) {
    this.#process = process
    this.#folder = folder
    this.#socket = socket
  }

  /** Launches a Firefox with a new profile. The caller calls `close`. */
  static async launch(): Promise<Firefox> {
    const folder = await mkdtemp(join(tmpdir(), 'firefox-'))
    const args = ['--headless', '--no-remote', '--profile', folder, '--remote-debugging-port=0']
    const process = spawn(`${path}`, args, { stdio: ['ignore', 'ignore', 'pipe'], env: envOf(folder) })
    const firefox = new Firefox(process, folder, new BidiSocket(`${await addressOf(process)}/session`))
    await firefox.#socket.opened
    await firefox.#socket.send('session.new', { capabilities: {} })
    return firefox
  }

  /** Opens a page in a new tab. All tabs belong to one user. */
  async open(url: string): Promise<FirefoxTab> {
    const { context } = await this.#socket.send('browsingContext.create', { type: 'tab' })
    const tab = new FirefoxTab(this.#socket, String(context))
    await tab.navigate(url)
    return tab
  }

  async close(): Promise<void> {
    this.#socket.close()
    this.#process.kill('SIGKILL')
    if (this.#process.exitCode === null && this.#process.signalCode === null)
      await once(this.#process, 'exit')
    await rm(this.#folder, { recursive: true, force: true, maxRetries: 10 })
  }
}

/** A page in a tab. */
export class FirefoxTab {
  readonly #socket: BidiSocket
  readonly #context: string

  constructor(socket: BidiSocket, context: string) {
    this.#socket = socket
    this.#context = context
  }

  async navigate(url: string): Promise<void> {
    await this.#socket.send('browsingContext.navigate', { context: this.#context, url, wait: 'complete' })
  }

  async reload(): Promise<void> {
    await this.#socket.send('browsingContext.reload', { context: this.#context, wait: 'complete' })
  }

  async close(): Promise<void> {
    await this.#socket.send('browsingContext.close', { context: this.#context })
  }

  /** Returns the value of an expression, which JSON can carry. */
  async evaluate<T>(expression: string): Promise<T> {
    const { result, exceptionDetails } = await this.#socket.send('script.evaluate', {
      target: { context: this.#context },
      expression: `Promise.resolve(${expression}).then(JSON.stringify)`,
      awaitPromise: true,
    })
    if (exceptionDetails) throw new Error(JSON.stringify(exceptionDetails))
    return JSON.parse((result as { value: string }).value)
  }
}

type Result = Record<string, unknown>

/** Sends commands, and resolves with their results. */
class BidiSocket {
  readonly opened: Promise<void>
  readonly #socket: Socket
  readonly #commands = new Map<number, { resolve(result: Result): void; reject(error: Error): void }>()
  #lastId = 0

  constructor(url: string) {
    const { WebSocket } = globalThis as unknown as { WebSocket: new (url: string) => Socket }
    this.#socket = new WebSocket(url)
    this.opened = new Promise((resolve, reject) => {
      this.#socket.onopen = () => resolve()
      this.#socket.onerror = () => reject(new Error(`There is no connection to ${url}.`))
    })
    this.#socket.onmessage = ({ data }) => this.#receive(JSON.parse(data))
    this.#socket.onclose = () => {
      for (const { reject } of this.#commands.values())
        reject(new Error('Firefox has closed the connection.'))
    }
  }

  send(method: string, params: object): Promise<Result> {
    const id = ++this.#lastId
    return new Promise((resolve, reject) => {
      this.#commands.set(id, { resolve, reject })
      this.#socket.send(JSON.stringify({ id, method, params }))
    })
  }

  close(): void {
    this.#socket.close()
  }

  #receive({ id, type, result, message }: Response): void {
    const command = this.#commands.get(id)
    this.#commands.delete(id)
    if (type === 'error') command?.reject(new Error(message))
    else command?.resolve(result)
  }
}

interface Response {
  readonly id: number
  readonly type: string
  readonly result: Result
  readonly message: string
}

/** The part of `WebSocket` that is used. Node.js 20 has it with `--experimental-websocket`. */
interface Socket {
  onopen: () => void
  onerror: () => void
  onclose: () => void
  onmessage: (event: { readonly data: string }) => void
  send(text: string): void
  close(): void
}

// Firefox writes to the folder of the user, and refuses one that belongs to another user.
function envOf(folder: string): NodeJS.ProcessEnv {
  return { ...process.env, HOME: folder, MOZ_CRASHREPORTER_DISABLE: '1' }
}

/** Resolves with the URL of the server for BiDi. */
async function addressOf(process: ChildProcess): Promise<string> {
  let output = ''
  if (!process.stderr) throw new Error('There is no output.')
  for await (const line of createInterface(process.stderr)) {
    output += `${line}\n`
    const [, url] = line.match(/WebDriver BiDi listening on (ws:\S+)/) ?? []
    if (!url) continue
    process.stderr.resume()
    return url
  }
  throw new Error(`Firefox has not started.\n${output}`)
}
