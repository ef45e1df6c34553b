import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { type AddressInfo, connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'

type CommandOf = (broker: Broker) => [program: string, ...args: string[]]

/** A broker of a test's own: a process that can be killed and started again with what it keeps on disk. */
export class Broker {
  readonly port: number
  readonly folder: string
  readonly #command: CommandOf
  #process: ChildProcess | undefined

  private constructor(port: number, command: CommandOf) {
    this.port = port
    this.folder = mkdtempSync(join(tmpdir(), 'spillway-broker-'))
    this.#command = command
  }

  static async start(command: CommandOf): Promise<Broker> {
    const broker = new Broker(await freePort(), command)
    await broker.start()
    endWithTest(broker)
    return broker
  }

  /** Resolves when it can be connected to. */
  async start(): Promise<void> {
    const [program, ...args] = this.#command(this)
    const child = spawn(program, args, { stdio: 'ignore' })
    this.#process = child
    const failed = once(child, 'error').then(([error]) => Promise.reject(error))
    await Promise.race([failed, listening(this.port)])
  }

  /** Resolves when it is gone. `SIGKILL` leaves it no time to write. */
  async stop(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    const child = this.#process
    this.#process = undefined
    if (!child || child.exitCode !== null || child.signalCode !== null) return
    const exit = once(child, 'exit')
    child.kill(signal)
    await exit
  }

  /** Loses what it kept. */
  async loseDisk(): Promise<void> {
    rmSync(this.folder, { recursive: true, force: true })
    mkdirSync(this.folder)
  }

  async end(): Promise<void> {
    await this.stop()
    rmSync(this.folder, { recursive: true, force: true })
  }
}

// One that a hook starts is ended by what the hook returns.
function endWithTest(broker: Broker): void {
  try {
    onTestFinished(() => broker.end())
  } catch {
    process.once('exit', () => void broker.end())
  }
}

/** A Redis that writes each command to disk before it answers. */
export function startRedis(...args: string[]): Promise<Broker> {
  return Broker.start(({ port, folder }) => [
    'redis-server',
    ...['--port', String(port), '--bind', '127.0.0.1', '--dir', folder, '--save', ''],
    ...['--appendonly', 'yes', '--appendfsync', 'always', ...args],
  ])
}

/** A NATS server with JetStream, or with what a configuration says. */
export function startNats(configuration = 'jetstream: {}'): Promise<Broker> {
  return Broker.start(({ port, folder }) => {
    const file = join(folder, 'nats.conf')
    const stored = configuration.replace('jetstream: {', `jetstream: { store_dir: ${JSON.stringify(folder)},`)
    writeFileSync(file, `listen: "127.0.0.1:${port}"\n${stored}\n`)
    return ['nats-server', '--config', file]
  })
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

async function listening(port: number): Promise<void> {
  for (;;) {
    const socket = connect(port, '127.0.0.1')
    const isOpen = await new Promise((resolve) => {
      socket.once('connect', () => resolve(true)).once('error', () => resolve(false))
    })
    socket.destroy()
    if (isOpen) return
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}
