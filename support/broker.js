import { spawn } from 'node:child_process'
import { randomInt } from 'node:crypto'
import { once } from 'node:events'
import { existsSync, mkdirSync, mkdtempSync, rmSync, statfsSync, writeFileSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

// Shared by the tests, the chaos run and the benchmarks. Written in JavaScript, so that each version of Node can run
// it.

/** @typedef {(broker: Broker) => [program: string, ...args: string[]]} CommandOf */

// A file system in memory, if it has room. It keeps the files of a broker that was killed. On a disk to which other
// programs write, a broker that waits for each write may respond later than the timeouts of a test.
const MEMORY = '/dev/shm'
const MIN_ROOM = 2 ** 31

/** A broker process that can be killed and started again with its files. */
export class Broker {
  folder = mkdtempSync(join(hasRoom(MEMORY) ? MEMORY : tmpdir(), 'spillway-broker-'))
  /** @type {CommandOf} */
  #command
  /** @type {import('node:child_process').ChildProcess | undefined} */
  #process

  /**
   * @param {number} port
   * @param {CommandOf} command
   */
  constructor(port, command) {
    this.port = port
    this.#command = command
  }

  get pid() {
    return this.#process?.pid
  }

  get isRunning() {
    return this.#process?.exitCode === null && this.#process.signalCode === null
  }

  /** Starts the process. Resolves when the broker accepts connections. */
  async start() {
    const [program, ...args] = this.#command(this)
    const child = spawn(program, args, { stdio: 'ignore' })
    this.#process = child
    // Also rejects for an `error` event.
    const ended = once(child, 'exit').then(([code]) => {
      throw new Error(`${program} exited with ${code} before it listened on port ${this.port}.`)
    })
    const attempts = new AbortController()
    await Promise.race([ended, listening(this.port, attempts.signal)]).finally(() => attempts.abort())
  }

  /**
   * Stops the process. Resolves when it has ended. With `SIGKILL` it cannot write to disk before.
   *
   * @param {NodeJS.Signals} [signal]
   */
  async stop(signal = 'SIGKILL') {
    const child = this.#process
    this.#process = undefined
    if (!child || child.exitCode !== null || child.signalCode !== null) return
    const exit = once(child, 'exit')
    child.kill(signal)
    await exit
  }

  /** Deletes the files of the broker. */
  async loseDisk() {
    rmSync(this.folder, { recursive: true, force: true })
    mkdirSync(this.folder)
  }

  async end() {
    await this.stop()
    rmSync(this.folder, { recursive: true, force: true })
  }
}

/** @param {string} folder */
function hasRoom(folder) {
  if (!existsSync(folder)) return false
  const { bavail, bsize } = statfsSync(folder)
  return bavail * bsize >= MIN_ROOM
}

/**
 * Starts a Redis that writes each command to disk before it replies.
 *
 * @param {string[]} args
 */
export function launchRedis(...args) {
  return launch(({ port, folder }) => [
    'redis-server',
    ...['--port', String(port), '--bind', '127.0.0.1', '--dir', folder, '--save', ''],
    ...['--appendonly', 'yes', '--appendfsync', 'always', ...args],
  ])
}

/** Starts a NATS server with JetStream, or with a configuration. */
export function launchNats(configuration = 'jetstream: {}') {
  return launch(({ port, folder }) => {
    const file = join(folder, 'nats.conf')
    const stored = configuration.replace('jetstream: {', `jetstream: { store_dir: ${JSON.stringify(folder)},`)
    writeFileSync(file, `listen: "127.0.0.1:${port}"\n${stored}\n`)
    return ['nats-server', '--config', file]
  })
}

// Linux, macOS and Windows choose ports of 32 768 and above for `listen(0)` and for outgoing connections. So a port
// below them remains free until a broker listens, and while it is stopped.
const PORTS = { first: 10_000, last: 32_000 }

// The server of a port may not have started yet, or may be restarting.
const given = new Set()

/**
 * Returns a port on which nothing listens, and which was not returned before.
 *
 * @returns {Promise<number>}
 */
export async function freePort() {
  for (;;) {
    const port = randomInt(PORTS.first, PORTS.last)
    if (given.has(port)) continue
    given.add(port)
    const server = createServer().listen(port, '127.0.0.1')
    const isFree = await once(server, 'listening').then(
      () => true,
      () => false,
    )
    server.close()
    if (isFree) return port
  }
}

/** @param {CommandOf} command */
async function launch(command) {
  const broker = new Broker(await freePort(), command)
  await broker.start()
  return broker
}

/**
 * Resolves when a server accepts connections on a port, or after a signal.
 *
 * @param {number} port
 * @param {AbortSignal} signal
 */
export async function listening(port, signal) {
  while (!signal.aborted) {
    const socket = connect(port, '127.0.0.1')
    const isOpen = await new Promise((resolve) => {
      socket.once('connect', () => resolve(true)).once('error', () => resolve(false))
    })
    socket.destroy()
    if (isOpen) return
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}
