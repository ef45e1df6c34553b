import { spawn } from 'node:child_process'
import { randomInt } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** Returns the Redis of `REDIS_URL`, or starts a server that writes every command to disk. */
export async function createRedis() {
  const { REDIS_URL } = process.env
  if (REDIS_URL) return { url: REDIS_URL, restart() {}, stop() {} }
  const port = await freePort()
  const folder = mkdtempSync(join(tmpdir(), 'spillway-cluster-'))
  const durable = ['--appendonly', 'yes', '--appendfsync', 'always', '--save', '', '--dir', folder]
  const start = () =>
    spawn('redis-server', ['--port', String(port), '--bind', '127.0.0.1', ...durable], { stdio: 'ignore' })
  let server = start()
  return {
    url: `redis://127.0.0.1:${port}`,
    async restart() {
      server.kill('SIGKILL')
      await once(server, 'exit')
      setTimeout(() => {
        server = start()
      }, 1000)
    },
    stop() {
      server.once('exit', () => rmSync(folder, { recursive: true, force: true }))
      server.kill()
    },
  }
}

/** Returns a free port below 32 768. The system assigns the ports above, even while Redis is down. */
export async function freePort() {
  for (;;) {
    const port = randomInt(10_000, 32_000)
    const server = createServer().listen(port, '127.0.0.1')
    const isFree = await once(server, 'listening').then(
      () => true,
      () => false,
    )
    server.close()
    if (isFree) return port
  }
}
