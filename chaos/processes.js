import { fork, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import net from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

export async function freePort() {
  const server = net.createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address()
  server.close()
  await once(server, 'close')
  return port
}

/** A process that is killed and started again. */
class Victim {
  kills = 0
  #child

  async start() {
    this.#child = await this.launch()
  }

  async kill() {
    const child = this.#child
    if (!child || child.exitCode !== null || child.signalCode !== null) return
    this.kills += 1
    const exit = once(child, 'exit')
    child.kill('SIGKILL')
    await exit
  }

  async restart(pause) {
    await this.kill()
    await new Promise((resolve) => setTimeout(resolve, pause))
    await this.start()
  }
}

export class Server extends Victim {
  constructor(port, brokerPort) {
    super()
    this.port = port
    this.brokerPort = brokerPort
  }

  async launch() {
    const env = { ...process.env, PORT: String(this.port), BROKER_PORT: String(this.brokerPort) }
    const child = fork(join(import.meta.dirname, 'server.js'), {
      env,
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    })
    const [message] = await Promise.race([once(child, 'message'), once(child, 'exit')])
    if (message !== 'listening') throw new Error(`A server ended before it listened: ${message}.`)
    return child
  }
}

/** A Redis that has written every command to disk before it answers. */
export class RedisServer extends Victim {
  #folder = mkdtempSync(join(tmpdir(), 'spillway-chaos-'))

  constructor(port) {
    super()
    this.port = port
  }

  async launch() {
    const durable = ['--appendonly', 'yes', '--appendfsync', 'always', '--save', '', '--dir', this.#folder]
    const child = spawn('redis-server', ['--port', String(this.port), '--bind', '127.0.0.1', ...durable], {
      stdio: 'ignore',
    })
    const failed = once(child, 'error').then(([error]) => Promise.reject(error))
    await Promise.race([failed, this.#listening()])
    return child
  }

  async end() {
    await this.kill()
    rmSync(this.#folder, { recursive: true, force: true })
  }

  async #listening() {
    for (;;) {
      const socket = net.connect(this.port, '127.0.0.1')
      const isOpen = await new Promise((resolve) => {
        socket.once('connect', () => resolve(true)).once('error', () => resolve(false))
      })
      socket.destroy()
      if (isOpen) return
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
  }
}
