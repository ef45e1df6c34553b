import { readFileSync } from 'node:fs'
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
function requireInJsdom(entry: string) {
  const { process, Buffer, console, performance, crypto, queueMicrotask, Headers } = globalThis
  const { URL, URLSearchParams, AbortController, AbortSignal, Event, EventTarget } = globalThis
  const context = createContext({
    ...{ process, Buffer, console, performance, crypto, queueMicrotask, Headers },
    ...{ URL, URLSearchParams, AbortController, AbortSignal, Event, EventTarget },
    ...{ clearTimeout, clearInterval },
    // Timers are numbers, without `unref`.
    setTimeout: (...args: Parameters<typeof setTimeout>) => Number(setTimeout(...args)),
    setInterval: (...args: Parameters<typeof setInterval>) => Number(setInterval(...args)),
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
