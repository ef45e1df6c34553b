import { once } from 'node:events'
import { type IncomingMessage, request } from 'node:http'
import { expect, it } from 'vitest'
import { encode } from '../../src/formats/event-stream.ts'
import { createSseStream } from '../../src/http/create-sse-stream.ts'
import { parseEvents } from '../support/parse.ts'
import { serve } from '../support/serve.ts'

/** Serves the id that each client returns, and responds with the status. */
async function echoServer() {
  const returned: Array<string | undefined> = []
  const { port } = await serve((request, response) => {
    const stream = createSseStream(request, response)
    returned.push(stream.lastEventId)
    stream.close()
  })
  /** Sends an id as clients do, as UTF-8. Resolves with the status of the response. */
  async function returnId(id: string): Promise<number | undefined> {
    const headers = { 'Last-Event-ID': Buffer.from(id).toString('latin1') }
    const [response] = (await once(request({ port, headers }).end(), 'response')) as [IncomingMessage]
    response.resume()
    await once(response, 'end')
    return response.statusCode
  }
  return { returned, returnId }
}

it('every id that encode accepts comes back as it was sent (rules 22, 43)', async () => {
  const { returned, returnId } = await echoServer()
  const ids = ['x'.repeat(1024), '🦆'.repeat(256), 'é', 'a\tb', '\x80', '0', 'a=1&b=%20"']
  for (const id of ids) {
    const [event] = parseEvents(encode({ id, data: '' }))
    expect(await returnId(String(event?.id))).toBe(200)
  }
  expect(returned).toEqual(ids)
})

it('an id that encode rejects would not come back (rule 43)', async () => {
  const { returned, returnId } = await echoServer()
  for (const id of ['x'.repeat(1025), '🦆'.repeat(257)]) {
    expect(() => encode({ id })).toThrow(expect.objectContaining({ code: 'ERR_SSE_ID' }))
    await returnId(id)
  }
  expect(returned).toEqual([undefined, undefined])
})
