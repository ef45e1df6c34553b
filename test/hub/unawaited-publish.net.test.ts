import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { expect, it } from 'vitest'

const root = join(import.meta.dirname, '../..')

// The timer is not cleared on SIGTERM, so it publishes during and after the shutdown.
const SERVER = `
  const hub = new Hub()
  const prices = hub.channel('prices')
  const timer = setInterval(() => {
    prices.publish({ event: 'price', data: { symbol: 'BTC', value: 67_000 + Math.random() } })
  }, 1)
  const server = createServer((request, response) => {
    prices.subscribe(createSseStream(request, response))
  }).listen(0, '127.0.0.1', () => {
    get(server.address(), (response) => response.once('data', () => process.kill(process.pid, 'SIGTERM')).resume())
  })
  process.once('SIGTERM', async () => {
    server.close()
    await hub.shutdown({ grace: 5_000 })
    server.closeAllConnections()
    do await new Promise((resolve) => setTimeout(resolve, 5))
    while (!(hub.droppedPublishes >= 3))
    clearInterval(timer)
    console.log('dropped at least 3')
  })`

// Every publish fails, and no listener is registered.
const FAILURES = `
  const store = memoryStore()
  store.append = () => Promise.reject(new SseError('ERR_SSE_STORE', 'The broker is lost.'))
  const news = new Hub({ store }).channel('news')
  let count = 0
  const timer = setInterval(() => {
    news.publish({ data: ++count })
    if (count === 20) clearInterval(timer)
  }, 1)`

const NAMES = '{ createSseStream, Hub, memoryStore, SseError }'
const BUILDS: Array<[build: string, type: string, imports: string]> = [
  ['ES module', 'module', `import { createServer, get } from 'node:http'; import ${NAMES} from 'spillway'`],
  [
    'CommonJS',
    'commonjs',
    `const { createServer, get } = require('node:http'); const ${NAMES} = require('spillway')`,
  ],
]

it.each(BUILDS)('a process that publishes after a shutdown exits with 0 (%s)', async (_, type, imports) => {
  expect(await run(type, `${imports}\n${SERVER}`)).toEqual({
    code: 0,
    stdout: 'dropped at least 3\n',
    stderr: '',
  })
})

it.each(BUILDS)(
  'a process whose publishes fail exits with 0 and prints one line (%s)',
  async (_, type, imports) => {
    const { code, stdout, stderr } = await run(type, `${imports}\n${FAILURES}`)
    expect({ code, stdout }).toEqual({ code: 0, stdout: '' })
    expect(stderr).toMatch(/^An unawaited publish to "news" was .+ ERR_SSE_STORE: The broker is lost\.\n$/)
  },
)

/** Runs a program in a process of its own. */
async function run(type: string, code: string) {
  const child = spawn(process.execPath, [`--input-type=${type}`, '--eval', code], { cwd: root })
  const output = { stdout: '', stderr: '' }
  child.stdout.on('data', (text) => {
    output.stdout += text
  })
  child.stderr.on('data', (text) => {
    output.stderr += text
  })
  const [exitCode] = await once(child, 'close')
  return { code: exitCode, ...output }
}
