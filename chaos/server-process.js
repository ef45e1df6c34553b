import { fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'

/** A server process that can be killed, frozen and restarted. */
export class ServerProcess {
  /** How often the process ended without being stopped. */
  crashes = 0
  /** Called with the id of a process that is about to be killed. */
  onKill = (_pid) => {}
  #module
  #environment
  #process

  /** `module`: the file that the process runs, relative to this folder. */
  constructor(port, environment, module = 'server.js') {
    this.port = port
    this.#module = fileURLToPath(new URL(module, import.meta.url))
    this.#environment = { ...environment, PORT: String(port) }
  }

  get pid() {
    return this.#process?.pid
  }

  /** Starts the process. Resolves when its server is listening. */
  async start() {
    const env = { ...process.env, ...this.#environment }
    const child = fork(this.#module, { env, stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
    this.#process = child
    child.once('exit', () => {
      if (this.#process === child) this.crashes += 1
    })
    const [message] = await Promise.race([once(child, 'message'), once(child, 'exit')])
    if (message !== 'listening') throw new Error(`A server ended before it listened: ${message}.`)
  }

  /** Stops the execution of the process until `thaw`. Its sockets stay open. */
  freeze() {
    this.#process?.kill('SIGSTOP')
  }

  thaw() {
    this.#process?.kill('SIGCONT')
  }

  async stop() {
    const child = this.#process
    this.#process = undefined
    if (!child || child.exitCode !== null || child.signalCode !== null) return
    const exit = once(child, 'exit')
    this.onKill(child.pid)
    child.kill('SIGKILL')
    await exit
  }
}
