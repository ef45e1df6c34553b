import { fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'

/** A module of this folder that runs as a separate process with settings. It sends objects with `parentPort.report`. */
export class Child {
  #process
  #file

  /** `onMessage` is called with each object. `nodeFlags` are passed to Node.js. */
  constructor(file, settings, onMessage, nodeFlags = []) {
    this.#file = file
    const path = fileURLToPath(new URL(file, import.meta.url))
    this.#process = fork(path, [JSON.stringify(settings)], { execArgv: nodeFlags })
    this.#process.on('message', onMessage)
  }

  get pid() {
    return this.#process.pid
  }

  /** Rejects when the process ends by itself, which is always too early. Stays pending after `stop`. */
  async ended() {
    const [code, signal] = await new Promise((resolve) => {
      this.#process.once('exit', (...how) => resolve(how))
    })
    throw new Error(`${this.#file} ended with ${signal ?? code}.`)
  }

  stop() {
    this.#process.removeAllListeners('exit')
    this.#process.kill('SIGKILL')
  }
}
