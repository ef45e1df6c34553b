import http from 'node:http'
import axios from 'axios'
import { request as undiciRequest } from 'undici'
import { describe, expect, it } from 'vitest'
import { type EventStreamBody, parseEvents } from '../../src/formats/parse-events.ts'
import { createSseStream } from '../../src/http/create-sse-stream.ts'
import { get } from '../support/client.ts'
import { parseEvents as parseBody } from '../support/parse.ts'
import { deferred, type Handler, serve } from '../support/serve.ts'

const clients: ReadonlyArray<readonly [name: string, ask: (url: string) => Promise<EventStreamBody>]> = [
  ['a Response of fetch', fetch],
  ['the body of fetch', async (url) => (await fetch(url)).body as ReadableStream<Uint8Array>],
  ['a response of node:http', (url) => new Promise((resolve) => http.get(url, resolve))],
  ['a response of undici', (url) => undiciRequest(url)],
  ['the data of axios', async (url) => (await axios.get(url, { responseType: 'stream' })).data],
]

/** Serves a stream that relays an upstream. */
async function serveRelay(ask: (url: string) => Promise<EventStreamBody>, upstream: Handler) {
  const { url } = await serve((request, response) => {
    response.setHeader('Content-Type', 'text/event-stream')
    upstream(request, response)
  })
  const result = deferred<unknown>()
  const { port } = await serve(async (request, response) => {
    const stream = createSseStream(request, response)
    await stream.sendAll(parseEvents(await ask(url))).then(result.resolve, result.resolve)
    stream.close()
  })
  return { client: await get('http', port), result: result.promise }
}

describe.each(clients)('parseEvents with %s', (_name, ask) => {
  it('relays events that are split at every byte', async () => {
    const body = 'id: 1\r\nevent: é\r\ndata: 🦆\r\n\r\ndata: [DONE]\r\n\r\n'
    const { client, result } = await serveRelay(ask, async (_request, response) => {
      for (const byte of Buffer.from(body)) {
        response.write(Buffer.of(byte))
        await new Promise((resolve) => setImmediate(resolve))
      }
      response.end()
    })
    expect(await client.ended).toBe('end')
    expect(await result).toBe(true)
    expect(parseBody(client.body)).toEqual(parseBody(body))
  })

  it('closes the connection to the upstream when the client disconnects during a pending read', async () => {
    const isClosed = deferred<void>()
    const { client, result } = await serveRelay(ask, (_request, response) => {
      response.once('close', isClosed.resolve).write('data: 1\n\n')
    })
    await client.until('data: 1\n\n')
    client.disconnect()
    await isClosed.promise
    expect(await result).toBe(false)
  })

  it('rejects when the upstream breaks off', async () => {
    const { client, result } = await serveRelay(ask, (_request, response) => {
      response.write('data: 1\n\n', () => response.destroy())
    })
    expect(await result).toBeInstanceOf(Error)
    expect(await client.ended).toBe('end')
    expect(parseBody(client.body)).toMatchObject([{ data: '1' }])
  })
})
