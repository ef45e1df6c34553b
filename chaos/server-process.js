import { fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'

const module = fileURLToPath(new URL('server.js', import.meta.url))

/** A server process that can be killed and restarted. */
export class ServerProcess {
  /** How often the process ended without being stopped. */
  crashes = 0
  #environment
  #process

  constructor(port, environment) {
    this.port = port
    this.#environment = { ...environment, PORT: String(port) }
  }

  get pid() {
    return this.#process?.pid
  }

  /** Starts the process. Resolves when its server is listening. */
  async start() {
    const env = { ...process.env, ...this.#environment }
    const child = fork(module, { env, stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
    this.#process = child
    child.once('exit', () => {
      if (this.#process === child) this.crashes += 1
    })
    const [message] = await Promise.race([once(child, 'message'), once(child, 'exit')])
    if (message !== 'listening') throw new Error(`A server ended before it listened: ${message}.`)
  }

  async stop() {
    const child = this.#process
    this.#process = undefined
    if (!child || child.exitCode !== null || child.signalCode !== null) return
    const exit = once(child, 'exit')
    child.kill('SIGKILL')
    await exit
  }
}
