import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import ts from 'typescript'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { buildOnNext, environment, nextCommand } from '../fixtures/next-build/build.ts'
import { hasChromium, launchChromium } from '../support/chromium.ts'
import { type Get, get } from '../support/client.ts'
import { parseEvents } from '../support/parse.ts'

const root = join(import.meta.dirname, '../..')

describe('examples/next, by `next build` and `next start`', () => {
  let folder: string
  let server: Started

  beforeAll(async () => {
    folder = await buildOnNext('examples/next')
    server = await start(folder)
  }, 300_000)

  afterAll(() => void server?.process.kill('SIGKILL'))

  const ask = (path: string, options: Get = {}) => get('http', server.port, { path, ...options })

  it.each(['/events', '/rooms/lobby', '/time', '/api/uptime'])(
    'sends the headers and first events of %s immediately, without compression',
    async (path) => {
      const client = await ask(path, { headers: { 'accept-encoding': 'gzip' } })
      await client.until((body) => /^:\nretry: \d+\n/.test(body))
      // Before the first heartbeat, which could flush a buffer.
      expect(client.body).not.toContain('\n:\n')
      expect(client.headers).toMatchObject({
        'content-type': 'text/event-stream; charset=utf-8',
        'cache-control': 'no-cache, no-transform',
      })
      expect(client.headers['content-encoding']).toBeUndefined()
      const page = await ask('/', { headers: { 'accept-encoding': 'gzip' } })
      expect(page.headers['content-encoding']).toBe('gzip')
    },
  )

  it.each(['/events', '/time'])(
    'responds to HEAD, and with 406 to a client that refuses event streams, on %s',
    async (path) => {
      const head = await ask(path, { method: 'HEAD' })
      expect([head.headers['content-type'], await head.ended]).toEqual([
        expect.stringMatching('event-stream'),
        'end',
      ])
      expect((await ask(path, { headers: { accept: 'text/event-stream;q=0' } })).status).toBe(406)
    },
  )

  it('resumes a client after its last event id', async () => {
    const client = await ask('/events')
    await client.until((body) => parseEvents(body).length >= 2)
    client.disconnect()
    const [first, second] = parseEvents(client.body)
    const back = await ask('/events', { headers: { 'last-event-id': first?.id ?? '' } })
    await back.until((body) => parseEvents(body).length >= 2)
    expect(parseEvents(back.body)[0]).toEqual(second)
  })

  it('passes the params of the path to a route and shares one hub in the process', async () => {
    const [lobby, other] = await Promise.all([ask('/rooms/lobby'), ask('/rooms/other')])
    await Promise.all([lobby.until(':\n'), other.until(':\n')])
    expect((await ask('/rooms/lobby', { method: 'POST', body: 'for the lobby' })).status).toBe(201)
    await ask('/rooms/other', { method: 'POST', body: 'for the other' })
    await Promise.all([lobby.until('data: for the lobby\n\n'), other.until('data: for the other\n\n')])
    expect([lobby.body, other.body].map((body) => parseEvents(body).length)).toEqual([1, 1])
  })

  it('has route types that Next rejects for params that are not in the path', () => {
    const problems = problemsWith(
      folder,
      'app/rooms/[id]/route.ts',
      'sse<RoomEvents, { id',
      'sse<RoomEvents, { name',
    )
    expect(problems).toContainEqual(expect.stringMatching(/'GET'.*'name' is missing/))
  })

  it('sends each token of a POST as soon as it is generated', async () => {
    const client = await ask('/tokens', { method: 'POST', body: '{"prompt":"one two three"}' })
    await client.until('data: {"token":"one"}\n\n')
    expect(client.body).not.toContain('three')
    expect(await client.ended).toBe('end')
    expect(parseEvents(client.body).map(({ data }) => data)).toEqual([
      '{"token":"one"}',
      '{"token":" two"}',
      '{"token":" three"}',
      '',
    ])
  })

  it('closes the source of a POST when the client disconnects', async () => {
    const prompt = 'word '.repeat(1_000)
    const client = await ask('/tokens', { method: 'POST', body: JSON.stringify({ prompt }) })
    await client.until('"word"')
    client.disconnect()
    await server.said('The model is stopped.')
  })

  it('streams an answer from its beginning to each client, until a DELETE stops it', async () => {
    const first = await ask('/answers', { method: 'POST', body: 'What is a spillway?' })
    await first.until('event: word')
    first.disconnect()
    const path = String(first.headers.location)
    const second = await ask(path)
    await second.until('event: word')
    expect((await ask(path, { method: 'DELETE' })).status).toBe(204)
    expect(await second.ended).toBe('end')
    const events = parseEvents(second.body)
    expect(events[0]).toMatchObject({ event: 'question', data: 'What is a spillway?' })
    expect(events.at(-1)).toMatchObject({ event: 'end', data: '{"reason":"stopped"}' })
    const again = await ask(path, { headers: { 'last-event-id': events.at(-1)?.id ?? '' } })
    expect([again.status, (await ask('/answers/none')).status]).toEqual([204, 404])
  })

  it.each(['/events', '/time', '/api/uptime'])(
    'closes the stream when the client of %s disconnects',
    async (path) => {
      const client = await ask(path)
      await client.until((body) => parseEvents(body).length > 0)
      const before = server.linesOf(`${path}: client`)
      client.disconnect()
      await server.said(`${path}: client`, before + 1)
    },
  )

  it.skipIf(!hasChromium)('shows the events and tokens on its page', async () => {
    const browser = await launchChromium()
    try {
      const page = await browser.newPage()
      await page.goto(`http://127.0.0.1:${server.port}`)
      for (const [path, data] of [
        ['/events', '"value":'],
        ['/time', /"20\d\d-/],
        ['/api/uptime', /^\d/],
      ] as const) {
        await page.locator(`dt:has-text("${path}") + dd`, { hasText: data }).waitFor()
      }
      await page.getByRole('button', { name: 'Ask' }).click()
      await page.getByText('Say it again, one word after the other').waitFor()
    } finally {
      await browser.close()
    }
  })

  it.skipIf(!hasChromium)('shows an answer once on a page that is reloaded and opened twice', async () => {
    const browser = await launchChromium()
    try {
      const first = await browser.newPage()
      await first.goto(`http://127.0.0.1:${server.port}/runs`)
      await first.getByRole('button', { name: 'Ask' }).click()
      const words = first.locator('output', { hasText: 'A spillway releases' })
      await words.waitFor()
      await first.reload()
      const second = await browser.newPage()
      await second.goto(first.url())
      for (const page of [first, second]) {
        await page.getByText('That was all.').waitFor()
        const text = await page.locator('output').textContent()
        expect(text).toMatch(/^A spillway (?!.*A spillway).* and all of it\.$/)
      }
      await first.getByRole('button', { name: 'Ask' }).click()
      await first.getByText('That was all.').waitFor({ state: 'hidden' })
      await words.waitFor()
      await first.getByRole('button', { name: 'Stop' }).click()
      await first.getByText('Stopped.').waitFor()
    } finally {
      await browser.close()
    }
  })

  it('exits on SIGTERM after sending its clients a reconnection time', async () => {
    const own = await start(folder)
    onTestFinished(() => void own.process.kill('SIGKILL'))
    const exit = once(own.process, 'exit')
    const client = await get('http', own.port, { path: '/events' })
    await client.until(':\n')
    own.process.kill('SIGTERM')
    expect(await client.ended).toBe('end')
    expect(client.body).toMatch(
      /\nretry: \d+\n: heartbeat \d+\nid: \S+\nevent: position\ndata: \{\}\n\n(id: .+\nevent: price\ndata: .+\n\n)*retry: \d+\n$/,
    )
    expect(EXITS).toContainEqual(await exit)
  })

  it.skipIf(!hasChromium)(
    'exits on SIGTERM while a page is open, which reconnects to the next process',
    async () => {
      const first = await start(folder)
      onTestFinished(() => void first.process.kill('SIGKILL'))
      const exit = once(first.process, 'exit')
      const browser = await launchChromium()
      onTestFinished(() => browser.close())
      const page = await browser.newPage()
      await page.goto(`http://127.0.0.1:${first.port}`)
      await page.evaluate(listen)
      await page.waitForFunction(() => window.opens > 0)
      first.process.kill('SIGTERM')
      expect(EXITS).toContainEqual(await exit)
      // Requests that were refused on the connection that the browser had kept count too.
      const opens = await page.evaluate(() => window.opens)
      const second = await start(folder, first.port)
      onTestFinished(() => void second.process.kill('SIGKILL'))
      await page.waitForFunction((opens) => window.opens > opens, opens)
      expect(await page.evaluate(() => window.states)).not.toContain(2)
    },
  )
})

// Not ended by the signal itself. Next 15 then exits with 0, and Next 16 with 128 + 15.
const EXITS = [
  [0, null],
  [143, null],
]

// The globals of the page that the function below uses.
declare const window: { opens: number; states: number[] }
declare class EventSource {
  readonly readyState: number
  constructor(url: string)
  addEventListener(name: string, listener: () => void): void
}

function listen(): void {
  const source = new EventSource('/events')
  window.opens = 0
  window.states = []
  source.addEventListener('open', () => {
    window.opens += 1
  })
  source.addEventListener('error', () => void window.states.push(source.readyState))
}

describe('docs/frameworks/nextjs.md', () => {
  it('quotes the files of the example unchanged', () => {
    const page = readFileSync(join(root, 'docs/frameworks/nextjs.md'), 'utf8')
    const quotes = [...page.matchAll(/```ts\n\/\/ (\S+\.ts)\n([\s\S]*?)```/g)]
    const files = quotes.map(([, name = '']) => [
      name,
      readFileSync(join(root, 'examples/next', name), 'utf8'),
    ])
    expect(quotes.map(([, name, text]) => [name, text])).toEqual(files)
    expect(files).toHaveLength(11)
  })
})

interface Started {
  readonly process: ChildProcess
  readonly port: number
  /** Returns how often the output contains a text. */
  linesOf(text: string): number
  /** Resolves when the output contains a text so many times. */
  said(text: string, times?: number): Promise<void>
}

/** Runs `next start`, on a free port by default. */
async function start(folder: string, port = 0): Promise<Started> {
  const env = { ...process.env, ...environment }
  const args = [nextCommand, 'start', folder, '--port', String(port), '--hostname', '127.0.0.1']
  const child = spawn(process.execPath, args, { env, stdio: ['ignore', 'pipe', 'inherit'] })
  const lines: string[] = []
  const output = createInterface(child.stdout).on('line', (line) => lines.push(line))
  const linesOf = (text: string) => lines.filter((line) => line.includes(text)).length
  const said = async (text: string, times = 1) => {
    while (linesOf(text) < times) await once(output, 'line')
  }
  await said('Ready')
  const [, actual] = /http:\/\/127\.0\.0\.1:(\d+)/.exec(lines.join('\n')) ?? []
  return { process: child, port: Number(actual), linesOf, said }
}

/** Returns the type errors that the types generated by `next build` find when a text in a file is replaced. */
function problemsWith(folder: string, file: string, text: string, other: string): string[] {
  const { config } = ts.readConfigFile(join(folder, 'tsconfig.json'), ts.sys.readFile)
  const { options, fileNames } = ts.parseJsonConfigFileContent(config, ts.sys, folder)
  const host = ts.createCompilerHost(options)
  const { readFile } = host
  const changed = readFileSync(join(folder, file), 'utf8').replace(text, other)
  expect(changed).toContain(other)
  host.readFile = (name) => (name === join(folder, file) ? changed : readFile(name))
  const program = ts.createProgram(fileNames, options, host)
  const generated = program.getSourceFiles().filter(({ fileName }) => fileName.includes('/.next/types/'))
  const problems = generated.flatMap((each) => program.getSemanticDiagnostics(each))
  return problems.map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, ' '))
}
