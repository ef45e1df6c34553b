import { readdirSync, readFileSync } from 'node:fs'
import { createServer, type RequestListener } from 'node:http'
import { createRequire, isBuiltin } from 'node:module'
import { join } from 'node:path'
import { compileFunction, createContext } from 'node:vm'
import { expect, test } from 'vitest'
import { get } from './support/client.ts'
import { serve } from './support/serve.ts'

const root = join(import.meta.dirname, '..')

/**
 * Loads the CommonJS build with the globals of Jest's jsdom environment: the language of another realm, `process`, and
 * what jsdom implements. TextDecoder, TextEncoder, setImmediate, structuredClone, Request and Response are undefined.
 */
function requireInJsdom(entry: string, globals: object = {}) {
  const { process, Buffer, console, performance, crypto, queueMicrotask, Headers } = globalThis
  const { URL, URLSearchParams, AbortController, AbortSignal, Event, EventTarget } = globalThis
  const context = createContext({
    ...{ process, Buffer, console, performance, crypto, queueMicrotask, Headers },
    ...{ URL, URLSearchParams, AbortController, AbortSignal, Event, EventTarget },
    ...{ clearTimeout, clearInterval },
    // Timers are numbers, without `unref`.
    setTimeout: (...args: Parameters<typeof setTimeout>) => Number(setTimeout(...args)),
    setInterval: (...args: Parameters<typeof setInterval>) => Number(setInterval(...args)),
    ...globals,
  })
  const loaded = new Map<string, { exports: unknown }>()
  const load = (file: string): unknown => {
    if (isBuiltin(file)) return createRequire(root)(file)
    const module = loaded.get(file) ?? { exports: {} }
    if (loaded.has(file)) return module.exports
    loaded.set(file, module)
    const { resolve } = createRequire(file)
    const names = ['module', 'exports', 'require']
    const run = compileFunction(readFileSync(file, 'utf8'), names, {
      filename: file,
      parsingContext: context,
    })
    run(module, module.exports, (specifier: string) => load(resolve(specifier)))
    return module.exports
  }
  return load(join(root, 'dist/cjs', entry))
}

test('streams and hubs work in the jsdom environment of Jest', async () => {
  const { createSseStream, Hub } = requireInJsdom('index.js') as typeof import('../src/index.ts')
  const hub = new Hub()
  const { port } = await serve((request, response) => {
    const stream = createSseStream(request, response)
    hub.subscribe(stream, ['prices'])
    stream.send({ data: { id: stream.lastEventId } })
    stream.sendAll(['text'])
  })
  const client = await get('http', port, {
    headers: { 'Last-Event-ID': Buffer.from('é').toString('latin1') },
  })
  await client.until('data: {"id":"é"}')
  await client.until('data: text\n\n')
  await hub.channel('prices').publish({ event: 'price', data: 41 })
  await client.until('event: price\ndata: 41\n\n')
  await hub.shutdown()
  expect(await client.ended).toBe('end')
})

test('the test client works in the jsdom environment of Jest', async () => {
  const { createSseStream } = requireInJsdom('index.js') as typeof import('../src/index.ts')
  const { openEvents } = requireInJsdom('testing/index.js') as typeof import('../src/testing/index.ts')
  const respond: RequestListener = (request, response) => {
    createSseStream(request, response).send({ data: 'é' })
  }
  const client = await openEvents(createServer(respond))
  expect(await client.next()).toMatchObject({ data: 'é' })
  client.close()
})

test('a stream sends events in the jsdom environment of Jest while its timers are faked', async () => {
  // A fake timer does not run by itself.
  const fakeTimers = { setTimeout: () => 1, setInterval: () => 1, queueMicrotask: () => {} }
  const { createSseStream } = requireInJsdom('index.js', fakeTimers) as typeof import('../src/index.ts')
  const { port } = await serve((request, response) => {
    createSseStream(request, response).send({ data: 'sent' })
  })
  const client = await get('http', port)
  await client.until('data: sent\n\n')
  client.disconnect()
})

test('a source of bytes and a relayed stream work in the jsdom environment of Jest', async () => {
  const { createSseStream, parseEvents } = requireInJsdom('index.js') as typeof import('../src/index.ts')
  const { port } = await serve(async (request, response) => {
    const stream = createSseStream(request, response)
    await stream.sendAll([Buffer.from('é')])
    await stream.sendAll(parseEvents([Buffer.from('data: relayed\n\n')]))
    stream.close()
  })
  const client = await get('http', port)
  await client.until('data: é\n\n')
  await client.until('data: relayed\n\n')
  expect(await client.ended).toBe('end')
})

// The client runs in browsers, and the commands run on Node.js alone. `testing` imports the decoder of Node.js.
const OTHERS = /^(cli|client|testing)\//
const MISSING = /(?<![.\w])(setImmediate\(|structuredClone\(|new TextDecoder\b)/

test('no module of the server calls a global function that is missing in the jsdom environment', () => {
  const files = readdirSync(join(root, 'dist/cjs'), { recursive: true, encoding: 'utf8' })
  const modules = files.filter((name) => name.endsWith('.js') && !OTHERS.test(name))
  const texts = modules.map((name) => readFileSync(join(root, 'dist/cjs', name), 'utf8'))
  expect(modules.filter((_, index) => MISSING.test(texts[index] ?? ''))).toEqual([])
})
