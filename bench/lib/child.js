import { execFileSync, fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'

const hasTaskset = succeeds('taskset', ['-c', '0', 'true'])

/** The cores of the server and the clients, if the machine has two cores and `taskset`. */
export const SERVER_CORE = 0
export const CLIENT_CORE = 1

/** Starts a module as a separate process on one core. The module MUST call `respond`. */
export function start(url, { core, args = [], nodeFlags = [] }) {
  const pin = hasTaskset ? { execPath: 'taskset', execArgv: ['-c', String(core), process.execPath] } : {}
  const process_ = fork(fileURLToPath(url), args, {
    ...pin,
    execArgv: [...(pin.execArgv ?? []), ...nodeFlags],
  })
  return new Child(process_)
}

/** Whether processes run on separate cores. */
export function isPinned() {
  return hasTaskset
}

class Child {
  #process
  #last = 0

  constructor(process_) {
    this.#process = process_
    this.#process.setMaxListeners(0)
  }

  get pid() {
    return this.#process.pid
  }

  /** Calls one of the functions that the process has passed to `respond`. */
  async ask(name, argument) {
    this.#last += 1
    const id = this.#last
    const reply = new Promise((resolve, reject) => {
      const onExit = (code) =>
        reject(new Error(`The process ended (${code}) before it responded to ${name}.`))
      const onMessage = (message) => {
        if (message.id !== id) return
        this.#process.off('message', onMessage).off('exit', onExit)
        if (message.error) reject(new Error(`${name}: ${message.error}`))
        else resolve(message.value)
      }
      this.#process.on('message', onMessage).on('exit', onExit)
    })
    this.#process.send({ id, name, argument })
    return reply
  }

  async stop() {
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return
    const exited = once(this.#process, 'exit')
    this.#process.kill('SIGKILL')
    await exited
  }
}

/** Called in the child process. Runs the functions that the parent calls, and exits with the parent. */
export function respond(functions) {
  process.on('message', async ({ id, name, argument }) => {
    try {
      process.send({ id, value: await functions[name](argument) })
    } catch (error) {
      process.send({ id, error: error.stack })
    }
  })
  process.on('disconnect', () => process.exit())
  // The parent has ended before this module was ready.
  if (!process.connected) process.exit()
}

function succeeds(command, args) {
  try {
    execFileSync(command, args, { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}
