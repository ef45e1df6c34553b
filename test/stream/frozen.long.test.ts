import { type ChildProcess, spawn } from 'node:child_process'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { generate } from 'selfsigned'
import { expect, it, onTestFinished } from 'vitest'
import { get } from '../support/client.ts'
import type { Protocol } from '../support/serve.ts'

const root = join(import.meta.dirname, '../..')

const STALL_TIMEOUT = 6_000
// Longer than the stall timeout.
const BLOCK = 7_500

// Streams as fast as its clients read, over each protocol and in a web response. It prints `full` once no client reads.
const SERVER = `
  import http from 'node:http'
  import http2 from 'node:http2'
  import https from 'node:https'
  import { createInterface } from 'node:readline'
  import { serve } from '@hono/node-server'
  import { createSseResponse, createSseStream } from 'spillway'

  const options = { stallTimeout: ${STALL_TIMEOUT}, heartbeat: 0, retry: 0 }
  const tls = { key: process.env.KEY, cert: process.env.CERT }
  let isFinishing = false
  let sent = 0
  const streams = []
  function* events() {
    while (!isFinishing) {
      sent += 1
      yield { data: 'x'.repeat(16_000) }
    }
    yield { event: 'done', data: '' }
  }
  async function run(stream) {
    stream.on('close', (reason) => console.log('closed', reason))
    streams.push(stream)
    if (await stream.sendAll(events())) stream.close()
  }
  const handler = (request, response) => void run(createSseStream(request, response, options))
  const fetch = (request) => createSseResponse(request, (stream) => void run(stream), options)
  const servers = {
    http: http.createServer(handler),
    https: https.createServer(tls, handler),
    h2c: http2.createServer(handler),
    h2: http2.createSecureServer(tls, handler),
    web: serve({ fetch, port: 0, hostname: '127.0.0.1' }),
  }
  for (const server of Object.values(servers)) if (!server.listening) server.listen(0, '127.0.0.1')
  setTimeout(() => {
    const ports = Object.entries(servers).map(([name, server]) => [name, server.address().port])
    console.log('ports', JSON.stringify(ports))
  }, 200)
  let before = 0
  const watch = setInterval(() => {
    if (streams.length === 5 && sent === before) {
      clearInterval(watch)
      console.log('full')
    }
    before = sent
  }, 300)
  createInterface({ input: process.stdin }).on('line', (line) => {
    if (line === 'finish') isFinishing = true
    else if (line === 'exit') process.exit()
    else {
      for (const until = Date.now() + Number(line); Date.now() < until; );
      // A write at the end of a long turn.
      run(createSseStream(...lost()))
    }
  })
  function lost() {
    const request = new http.IncomingMessage(null)
    Object.assign(request, { method: 'GET', url: '/', headers: {} })
    return [request, new http.ServerResponse(request)]
  }`

interface Output {
  readonly lines: string[]
  until(start: string): Promise<string>
}

function linesOf(child: ChildProcess): Output {
  const lines: string[] = []
  const read = (text: Buffer) => lines.push(...String(text).split('\n').filter(Boolean))
  child.stdout?.on('data', read)
  child.stderr?.on('data', read)
  return {
    lines,
    async until(start) {
      await expect.poll(() => lines.join('\n')).toMatch(new RegExp(`^${start}`, 'm'))
      return lines.find((line) => line.startsWith(start)) ?? ''
    },
  }
}

async function startServer() {
  const pem = await generate([{ name: 'commonName', value: 'localhost' }], { keyType: 'ec' })
  const child = spawn(process.execPath, ['--input-type=module', '--eval', SERVER], {
    cwd: root,
    env: { ...process.env, KEY: pem.private, CERT: pem.cert },
  })
  onTestFinished(() => void child.kill('SIGKILL'))
  const output = linesOf(child)
  const ports = JSON.parse((await output.until('ports')).slice('ports '.length)) as Array<[string, number]>
  return { child, output, ports }
}

// 7.7: timers run before the sockets are read, so the server sees clients that have read nothing for a long time.
it.each<[how: string, stop: (child: ChildProcess) => Promise<unknown>]>([
  [
    'frozen',
    async (child) => {
      child.kill('SIGSTOP')
      await pause(BLOCK)
      child.kill('SIGCONT')
    },
  ],
  ['blocked', async (child) => child.stdin?.write(`${BLOCK}\n`)],
])(
  'a server that is %s longer than stallTimeout disconnects no client that reads (rule 44)',
  async (_how, stop) => {
    const { child, output, ports } = await startServer()
    const clients = await Promise.all(
      ports.map(([name, port]) => get((name === 'web' ? 'http' : name) as Protocol, port)),
    )
    for (const client of clients) client.stopReading()
    await output.until('full')
    const stopped = stop(child)
    for (const client of clients) client.resumeReading()
    await stopped
    child.stdin?.write('finish\n')
    expect(await Promise.all(clients.map(({ ended }) => ended))).toEqual(ports.map(() => 'end'))
    for (const { body } of clients) expect(body.slice(-30)).toContain('event: done\n')
    expect(output.lines.filter((line) => line.startsWith('closed') && !/server|client/.test(line))).toEqual(
      [],
    )
  },
)
