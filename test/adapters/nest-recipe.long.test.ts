import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import ts from 'typescript'
import { describe, expect, it, onTestFinished } from 'vitest'
import { type Client, type Get, get } from '../support/client.ts'
import { dataOf, parseEvents } from '../support/parse.ts'

const root = join(import.meta.dirname, '../..')

describe('examples/nest.js', () => {
  it('sends the time, resumes a client and closes its streams on a signal', async () => {
    const example = await start([join(root, 'examples/nest.js')])
    expect(example.before).toEqual([])
    const client = await example.ask()
    await client.until((body) => parseEvents(body).length >= 2)
    client.disconnect()
    const [first] = parseEvents(client.body)
    const back = await example.ask({ headers: { 'last-event-id': first?.id ?? '' } })
    await back.until((body) => parseEvents(body).length >= 2)
    expect(parseEvents(back.body)[0]).toEqual(parseEvents(client.body)[1])
    await expectEnd(example.child, back)
  })
})

describe('docs/frameworks/nestjs.md', () => {
  const blocks = [...readPage().matchAll(/^```ts\n([\s\S]*?)^```$/gm)].map(([, code = '']) => code)
  const blockWith = (text: string) => blocks.find((code) => code.includes(text)) ?? ''
  const EXPRESS = `import { ExpressAdapter as Adapter } from '@nestjs/platform-express'`
  const FASTIFY = `import { FastifyAdapter as Adapter } from '@nestjs/platform-fastify'`

  it('contains blocks that type-check with TypeScript decorators', { timeout: 60_000 }, () => {
    expect(blocks.length).toBeGreaterThan(3)
    const wrong = `${blocks[0]}\ncreateSseStream('no request')\n`
    expect(problemsIn([...blocks, wrong])).toEqual([expect.stringMatching(/Expected 2-3 arguments/)])
  })

  it('contains a hub that resumes clients and shuts down with the application', async () => {
    const program = await startTypeScript(
      `${blockWith('NestFactory').replace('listen(3000)', `listen(0, '127.0.0.1')`)}
      const news = app.get(NewsHub).channel('news')
      for (const data of [1, 2, 3]) await news.publish({ data })
      console.log(await news.publish({ data: 4 }), await app.getUrl())`,
    )
    const [last = ''] = program.line.split(' ')
    const lastEventId = last.replace(/4$/, '2')
    const client = await program.ask({ path: '/news', headers: { 'last-event-id': lastEventId } })
    await client.until('data: 4\n\n')
    expect(dataOf(client)).toEqual(['3', '4'])
    await expectEnd(program.child, client)
  })

  it.each([
    ['on Express', EXPRESS, blockWith('response: Response) {\n    createSseStream')],
    ['on Fastify', FASTIFY, blockWith('reply.raw')],
  ])('contains a controller that streams %s', async (_where, platform, code) => {
    const program = await startTypeScript(serving('HelloController', platform, code))
    const client = await program.ask({ path: '/hello' })
    await client.until('data: hello\n\n')
  })

  it('contains a generator whose exception goes to Nest', async () => {
    const program = await startTypeScript(serving('ChatController', EXPRESS, blockWith('@Post')))
    const chat = async (body: string) => {
      const headers = { 'content-type': 'application/json' }
      const client = await program.ask({ path: '/chat', method: 'POST', headers, body })
      await client.ended
      return client
    }
    expect(dataOf(await chat('{"prompt":"to be"}'))).toEqual(['{"word":"to"}', '{"word":"be"}'])
    const refused = await chat('{}')
    expect([refused.status, JSON.parse(refused.body).message]).toEqual([400, 'Ask something.'])
  })

  it('contains a controller that starts, streams and stops a run', async () => {
    const program = await startTypeScript(serving('AnswersController', EXPRESS, blockWith('new Runs()')))
    const headers = { 'content-type': 'application/json' }
    const body = `{"question":"${'to be '.repeat(500)}"}`
    const first = await program.ask({ path: '/answers', method: 'POST', headers, body })
    await first.until('data: be\n\n')
    first.disconnect()
    const path = String(first.headers.location)
    const second = await program.ask({ path })
    await second.until('data: be\n\n')
    expect((await program.ask({ path, method: 'DELETE' })).status).toBe(204)
    expect(await second.ended).toBe('end')
    expect(dataOf(second).at(-1)).toBe('{"reason":"stopped"}')
    const id = parseEvents(second.body).at(-1)?.id ?? ''
    expect((await program.ask({ path, headers: { 'last-event-id': id } })).status).toBe(204)
    expect((await program.ask({ path: '/answers/none' })).status).toBe(404)
  })
})

function readPage(): string {
  return readFileSync(join(root, 'docs/frameworks/nestjs.md'), 'utf8')
}

/** Returns a program that serves one controller. */
function serving(controller: string, platform: string, code: string): string {
  return `import 'reflect-metadata'
    import { Module } from '@nestjs/common'
    import { NestFactory } from '@nestjs/core'
    ${platform}
    ${code}
    @Module({ controllers: [${controller}] })
    class AppModule {}
    const app = await NestFactory.create(AppModule, new Adapter())
    await app.listen(0, '127.0.0.1')
    console.log(await app.getUrl())`
}

/** Starts a program in the root folder, so that `spillway` resolves to this package. */
function startTypeScript(code: string) {
  const compilerOptions = { ...nestOptions(), module: ts.ModuleKind.ESNext }
  const { outputText } = ts.transpileModule(code, { compilerOptions })
  return start(['--input-type=module', '--eval', outputText])
}

/** Starts a program that prints its URL. */
async function start(args: string[]) {
  const env = { ...process.env, PORT: '0', NO_COLOR: '1' }
  const child = spawn(process.execPath, args, { cwd: root, env, stdio: ['ignore', 'pipe', 'inherit'] })
  onTestFinished(() => void child.kill('SIGKILL'))
  const before: string[] = []
  for await (const line of createInterface(child.stdout)) {
    const [url] = /http:\/\/\S+$/.exec(line) ?? []
    if (!url) {
      before.push(line)
      continue
    }
    const port = Number(new URL(url).port)
    return { child, before, line, ask: (options: Get = {}) => get('http', port, options) }
  }
  throw new Error(`It ended before it listened: ${before.join('\n')}`)
}

/** Stops the program as a supervisor does and expects its stream and its process to end cleanly. */
async function expectEnd(child: ChildProcess, client: Client): Promise<void> {
  child.kill('SIGTERM')
  expect(await client.ended).toBe('end')
  expect(client.body).toMatch(/\n\nretry: \d+\n$/)
  expect(await once(child, 'exit')).toEqual([0, null])
}

/** Returns the type errors of blocks as files next to their page. */
function problemsIn(blocks: readonly string[]): string[] {
  const byFile = new Map(
    blocks.map((code, index) => [join(root, `docs/frameworks/nestjs.${index}.ts`), code]),
  )
  const options = nestOptions()
  const host = ts.createCompilerHost(options)
  const { fileExists, readFile } = host
  host.fileExists = (file) => byFile.has(file) || fileExists(file)
  host.readFile = (file) => byFile.get(file) ?? readFile(file)
  const program = ts.createProgram([...byFile.keys()], options, host)
  const diagnostics = ts.getPreEmitDiagnostics(program)
  return diagnostics.map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, ' '))
}

/** The compiler options of this project with legacy decorators, as Nest needs them. */
function nestOptions(): ts.CompilerOptions {
  const { config } = ts.readConfigFile(join(root, 'tsconfig.json'), ts.sys.readFile)
  const { options } = ts.parseJsonConfigFileContent({ ...config, include: [], files: [] }, ts.sys, root)
  return {
    ...options,
    moduleDetection: ts.ModuleDetectionKind.Force,
    experimentalDecorators: true,
    emitDecoratorMetadata: true,
    erasableSyntaxOnly: false,
    noUnusedParameters: false,
  }
}
