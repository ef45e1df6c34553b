import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { get } from '../support/client.ts'
import { parseEvents } from '../support/parse.ts'
import { findRuntime, Running } from './runtimes/runtime.ts'

const bun = findRuntime('bun')
const deno = findRuntime('deno')

const root = join(import.meta.dirname, '../..')

/** Starts an example on a free port, as its reader does. */
async function start(example: string, ...command: string[]): Promise<Running> {
  const running = await Running.start(command, join(root, 'examples', example), { PORT: '0' })
  onTestFinished(() => running.stop())
  return running
}

/** Writes the first example of a page into a project that has the package installed. */
function projectWith(page: string): string {
  const [, code = ''] = /```js\n(.*?)```/s.exec(readFileSync(join(root, page), 'utf8')) ?? []
  const folder = mkdtempSync(join(tmpdir(), 'spillway-'))
  onTestFinished(() => rmSync(folder, { recursive: true }))
  mkdirSync(join(folder, 'node_modules'))
  symlinkSync(root, join(folder, 'node_modules/spillway'))
  writeFileSync(join(folder, 'package.json'), '{ "type": "module", "dependencies": { "spillway": "*" } }')
  writeFileSync(join(folder, 'server.js'), code)
  return join(folder, 'server.js')
}

describe('the first example of docs/frameworks/web.md', () => {
  const runtimes = [
    { name: 'bun', command: bun ? [bun] : undefined },
    { name: 'deno serve', command: deno ? [deno, 'serve', '--host=127.0.0.1', '--port=0'] : undefined },
  ]

  it.skipIf(!bun || !deno).each(runtimes)('is a complete server for $name', async ({ command }) => {
    const running = await Running.start(command ?? [], projectWith('docs/frameworks/web.md'), { PORT: '0' })
    onTestFinished(() => running.stop())
    const client = await get('http', running.port)
    await client.until((body) => /id: \S+\ndata: "\d{4}-.*Z"\n\n/.test(body))
  })
})

describe('examples/hono.js', () => {
  it('sends published events to subscribers and exits on a signal', async () => {
    const example = await start('hono.js', process.execPath)
    const client = await get('http', example.port, { path: '/news' })
    await client.until(':\n')
    const published = await get('http', example.port, { path: '/news', method: 'POST', body: 'hello' })
    await published.ended
    const { id } = JSON.parse(published.body)
    await client.until(`id: ${id}\ndata: hello\n\n`)
    example.kill('SIGTERM')
    expect(await client.ended).toBe('end')
    expect(await example.exited).toBe(0)
  })
})

describe.skipIf(!bun)('examples/bun.js', () => {
  it('sends the words of a request as events', async () => {
    const example = await start('bun.js', bun ?? '')
    const client = await get('http', example.port, { method: 'POST', body: 'to be é' })
    expect(await client.ended).toBe('end')
    expect(parseEvents(client.body).map(({ event, data }) => [event, data])).toEqual([
      ['token', '{"word":"to"}'],
      ['token', '{"word":"be"}'],
      ['token', '{"word":"é"}'],
    ])
  })
})

describe.skipIf(!deno)('examples/deno.js', () => {
  it('sends the time to all clients', async () => {
    const example = await start('deno.js', deno ?? '', 'run', '--allow-net', '--allow-env')
    const clients = await Promise.all([get('http', example.port), get('http', example.port)])
    await Promise.all(
      clients.map((client) => client.until((body) => /event: second\ndata: "\d{4}-.*Z"\n\n/.test(body))),
    )
    const [one, two] = clients.map(({ body }) => parseEvents(body).at(0))
    expect(one).toEqual(two)
  })
})
