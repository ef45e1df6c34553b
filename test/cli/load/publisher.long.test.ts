import { once } from 'node:events'
import { existsSync, readFileSync } from 'node:fs'
import type { ServerResponse } from 'node:http'
import { expect, test } from 'vitest'
import { LoadProcess, startLoad } from './run-load.ts'
import { listen, openStream, serveScript } from './scripted-server.ts'

/**
 * Serves streams, and a command that never ends. The shell waits for it, so that it is another process than the shell.
 */
async function serveEndless() {
  const calls: ServerResponse[] = []
  const url = await listen((request, response) => {
    if (request.url !== '/command') return openStream(response)
    calls.push(response)
    return onCall()
  })
  let onCall = () => {}
  const called = new Promise<void>((resolve) => {
    onCall = resolve
  })
  return {
    url,
    command: `'${process.execPath}' -e "fetch('${url}/command')"; true`,
    /** Resolves when the command runs, with a promise of its end. */
    async begun() {
      await called
      return { ended: once(calls[0] as ServerResponse, 'close') }
    },
  }
}

test('a run ends although its publish command does not, and ends that command', async () => {
  const { url, command, begun } = await serveEndless()
  const load = startLoad(url, '--streams', '2', '--publish-command', command)
  const { ended } = await begun()
  load.interrupt()
  const { probes } = await load.report()
  expect(probes).toMatchObject({ published: 0, failed: 1, failure: 'not complete when the run ended' })
  await ended
})

const children = (pid = 0) => `/proc/${pid}/task/${pid}/children`

test.skipIf(!existsSync(children(process.pid)))(
  'a run whose worker is killed ends its publish command',
  async () => {
    const { url, command, begun } = await serveEndless()
    const load = startLoad(url, '--streams', '2', '--publish-command', command)
    const { ended } = await begun()
    const [worker] = readFileSync(children(load.process.pid), 'utf8').split(' ')
    process.kill(Number(worker), 'SIGKILL')
    expect(await load.status()).toBe(2)
    await ended
  },
)

test('a publish command that leaves a process behind is published', async () => {
  const streams = new Set<ServerResponse>()
  let published = 0
  const url = await listen((request, response) => {
    if (!request.url?.startsWith('/publish')) {
      openStream(response)
      streams.add(response)
      return
    }
    response.end()
    if (++published === 2) load.interrupt()
  })
  // The second process keeps the output of the command open.
  const script = `fetch('${url}/publish/').then(() => {})`
  const command = `sleep 30 & '${process.execPath}' -e "${script}"`
  const load = startLoad(url, '--streams', '1', '--publish-command', command, '--publish-rate', '100/s')
  const { probes } = await load.report()
  expect(probes?.published).toBeGreaterThanOrEqual(1)
})

test('a run ends although the response to its probe does not', async () => {
  const url = await listen((request, response) => {
    if (request.method !== 'POST') return openStream(response)
    response.writeHead(200)
    const timer = setInterval(() => response.write('x'), 50)
    response.on('close', () => clearInterval(timer))
    return load.interrupt()
  })
  const load = startLoad(url, '--streams', '1', '--publish-url', '/')
  const { probes } = await load.report()
  expect(probes).toMatchObject({ published: 0, failed: 1, failure: 'not complete when the run ended' })
})

test('probes whose connection is closed or switched without a response are failures', async () => {
  let probes = 0
  const url = await listen((request, response) => {
    if (request.method !== 'POST') return openStream(response)
    probes += 1
    if (probes === 1)
      return request.socket.write('HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n')
    if (probes === 2) return request.socket.destroy()
    if (probes === 3) {
      response.writeHead(200, { 'content-length': 10 }).write('x')
      return setImmediate(() => request.socket.destroy())
    }
    response.end()
    // A second signal would end the process at once.
    return probes === 4 && load.interrupt()
  })
  const load = startLoad(url, '--streams', '1', '--publish-url', '/', '--publish-rate', '100/s')
  const { probes: report } = await load.report()
  expect(report?.failed).toBe(3)
})

test('a run does not begin if no server listens at its publish URL', async () => {
  const server = await serveScript({})
  const load = new LoadProcess([server.url, '--publish-url', 'http://127.0.0.1:1/publish'])
  expect(await load.status()).toBe(2)
  expect(load.err).toBe('spillway: 127.0.0.1:1 refused the connection. No server listens on this port.\n')
})
