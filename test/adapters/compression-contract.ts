import { describe, expect, it } from 'vitest'
import type { SseHandlerOptions } from '../../src/http/handler-options.ts'
import type { SseStream } from '../../src/stream/stream.ts'
import type { Client, Get } from '../support/client.ts'
import { ENCODINGS } from '../support/decode.ts'
import { deferred } from '../support/serve.ts'
import type { AdapterUnderTest, AnyHandler } from './contract.ts'

type Open = (handler: AnyHandler, request: Get, options: SseHandlerOptions) => Promise<{ client: Client }>

const ANY = 'gzip, deflate, br, zstd'
const NO_EVENTS = () => {}

/** Tests the option `compress` of an adapter. */
export function compressionContract({ removesEncoding = false }: AdapterUnderTest, open: Open): void {
  const openFor = (encodings: string | undefined, options: SseHandlerOptions = {}, method = 'GET') => {
    const headers = encodings === undefined ? {} : { 'accept-encoding': encodings }
    return open(NO_EVENTS, { method, headers }, { compress: true, ...options })
  }

  describe.skipIf(removesEncoding)('with compress', () => {
    it.each(ENCODINGS)(
      'delivers the first bytes and each event with %s before the next',
      async (encoding) => {
        const opened = deferred<SseStream>()
        const headers = { 'accept-encoding': encoding }
        const { client } = await open((stream) => opened.resolve(stream), { headers }, { compress: true })
        expect(client.headers).toMatchObject({
          'content-encoding': encoding,
          'cache-control': 'no-cache, no-transform',
          vary: expect.stringMatching(/\bAccept-Encoding\b/i),
        })
        await client.until((body) => /^:\nretry: \d+\n/.test(body))
        const stream = await opened.promise
        for (let id = 1; id <= 5; id++) {
          stream.send({ id, data: { text: 'é', id } })
          await client.until(`id: ${id}\ndata: {"text":"é","id":${id}}\n\n`)
        }
        stream.close()
        expect(await client.ended).toBe('end')
      },
    )

    it('responds to HEAD with the headers of GET (rule 19)', async () => {
      const { client } = await openFor(ANY, {}, 'HEAD')
      expect(client.headers).toMatchObject({
        'content-encoding': 'gzip',
        'cache-control': 'no-cache, no-transform',
        vary: expect.stringMatching(/\bAccept-Encoding\b/i),
      })
      expect(client.body).toBe('')
    })

    it.each([undefined, 'identity', 'gzip;q=0, br;q=0, *;q=0'])(
      'sends plain events with Accept-Encoding %s',
      async (encodings) => {
        const { client } = await openFor(encodings)
        expect(client.headers['content-encoding']).toBeUndefined()
        expect(client.headers.vary).toMatch(/\bAccept-Encoding\b/i)
        await client.until((body) => /^:\nretry: \d+\n/.test(body))
      },
    )

    it('sends plain events if the application has set Content-Encoding', async () => {
      const { client } = await openFor('gzip', { headers: { 'Content-Encoding': 'identity' } })
      expect(client.headers['content-encoding']).toBe('identity')
      await client.until((body) => /^:\nretry: \d+\n/.test(body))
    })

    it('adds Accept-Encoding to the Vary of the application', async () => {
      const { client } = await openFor('gzip', { headers: { Vary: 'Origin' }, negotiate: false })
      expect(client.headers.vary).toMatch(/\bOrigin, Accept-Encoding$/i)
    })
  })

  it.runIf(removesEncoding)(
    'sends plain events with compress if the framework removes Content-Encoding',
    async () => {
      const { client } = await openFor(ANY)
      expect(client.headers['content-encoding']).toBeUndefined()
      await client.until((body) => /^:\nretry: \d+\n/.test(body))
    },
  )
}
