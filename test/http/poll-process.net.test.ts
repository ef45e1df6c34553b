import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { expect, it, onTestFinished } from 'vitest'
import { get } from '../support/client.ts'

const root = join(import.meta.dirname, '../..')

const SETUP = `
  import { getEventListeners, once } from 'node:events'
  import { createServer, get } from 'node:http'
  import { createSseResponse, createSseStream, Hub } from 'spillway'
  import { sse } from 'spillway/web'

  const timers = new Set()
  for (const [name, isOnce] of [['setInterval', false], ['setTimeout', true]]) {
    const start = globalThis[name]
    globalThis[name] = (callback, ...rest) => {
      const timer = start((...args) => {
        if (isOnce) timers.delete(timer)
        callback(...args)
      }, ...rest)
      timers.add(timer)
      return timer
    }
  }
  for (const name of ['clearInterval', 'clearTimeout']) {
    const stop = globalThis[name]
    globalThis[name] = (timer) => {
      timers.delete(timer)
      stop(timer)
    }
  }

  const hub = new Hub()
  const news = hub.channel('news')
  const options = { formats: ['event-stream', 'ndjson', 'json'], longPoll: { hold: 1_000 } }
  const server = createServer((request, response) => {
    news.subscribe(createSseStream(request, response, options))
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address()`

const POLLS = `
  const open = (query) => get({ host: '127.0.0.1', port, path: '/?format=json' + query, agent: false })
  const pageOf = async (request) => {
    const [response] = await once(request, 'response')
    return JSON.parse(Buffer.concat(await response.toArray()).toString())
  }
  const opened = async (count) => {
    while (hub.size < count) await new Promise((resolve) => setImmediate(resolve))
  }
  const closed = async () => {
    while (hub.size > 0) await new Promise((resolve) => setImmediate(resolve))
  }

  await pageOf(open('&hold=0'))
  await pageOf(open(''))

  const held = pageOf(open(''))
  await opened(1)
  await news.publish({ data: 1 })
  await held

  const aborted = open('').on('error', () => {})
  await opened(1)
  aborted.destroy()
  await closed()

  const controller = new AbortController()
  const request = () => new Request('http://localhost/?format=json', { signal: controller.signal })
  const respond = sse((stream) => news.subscribe(stream), options)
  const requests = [request(), request(), request(), request()]
  const answers = [
    respond(requests[0]),
    createSseResponse(requests[1], (stream) => news.subscribe(stream), options).json(),
  ]
  await opened(2)
  await news.publish({ data: 2 })
  await Promise.all(answers)
  const late = [
    respond(requests[2]),
    createSseResponse(requests[3], (stream) => news.subscribe(stream), options).text().catch(() => {}),
  ]
  await opened(2)
  controller.abort()
  await Promise.all(late)
  await closed()

  const last = pageOf(open(''))
  await opened(1)
  const ended = once(server.close(), 'close')
  await hub.shutdown()
  await last
  await ended
  const listeners = requests.map(({ signal }) => getEventListeners(signal, 'abort').length)
  await new Promise((resolve) => setImmediate(resolve))
  console.log(JSON.stringify({ size: hub.size, timers: timers.size, listeners }))`

const HELD = `
  server.once('request', () => server.close())
  console.log(port)`

function start(program: string): ChildProcess {
  const child = spawn(process.execPath, ['--input-type=module', '--eval', `${SETUP}\n${program}`], {
    cwd: root,
  })
  onTestFinished(() => void child.kill())
  return child
}

it('has no timer and no listener after its polls, and exits', async () => {
  const child = start(POLLS)
  const [stdout, stderr] = [text(child.stdout as never), text(child.stderr as never)]
  const [code] = await once(child, 'exit')
  expect([code, await stderr]).toEqual([0, ''])
  expect(JSON.parse(await stdout)).toEqual({ size: 0, timers: 0, listeners: [0, 0, 0, 0] })
})

it('does not exit before a held poll is answered, although its server is closed', async () => {
  const child = start(HELD)
  const exit = once(child, 'exit')
  const [port] = await once(child.stdout as never, 'data')
  const client = await get('http', Number(port), { path: '/?format=json' })
  await client.ended
  expect(JSON.parse(client.body)).toEqual({ events: [], lastEventId: expect.any(String), retry: 0 })
  expect(await exit).toEqual([0, null])
})
