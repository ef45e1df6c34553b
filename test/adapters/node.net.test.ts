import { describe, expect, it, vi } from 'vitest'
import type { NodeRequest } from '../../src/http/last-event-id.ts'
import { sse } from '../../src/http/sse.ts'
import type { NodeResponse } from '../../src/transports/node-response.ts'
import { get } from '../support/client.ts'
import { type Protocol, serve } from '../support/serve.ts'

type Listener = (request: NodeRequest, response: NodeResponse) => unknown

async function serveNode(listener: Listener, protocol: Protocol = 'http') {
  const { server, port } = await serve(listener as never, protocol)
  return { port, close: () => new Promise<void>((resolve) => server.close(() => resolve())) }
}

describe('sse of spillway', () => {
  it.each<Protocol>(['http', 'https', 'h2c', 'h2'])('serves a stream over %s', async (protocol) => {
    const { port } = await serveNode(
      sse((stream, request) => {
        stream.send({ data: request === stream.request })
        stream.close()
      }),
      protocol,
    )
    const client = await get(protocol, port)
    expect([client.status, await client.ended]).toEqual([200, 'end'])
    expect(client.body).toContain('data: true\n\n')
  })

  it('responds with 500 to an error before the response headers, and prints it', async () => {
    const print = vi.spyOn(console, 'error').mockImplementation(() => {})
    const error = new Error('no database')
    const { port } = await serveNode(sse(() => Promise.reject(error), { maxHeaderDelay: 5_000 }))
    const client = await get('http', port)
    expect([client.status, await client.ended, client.body]).toEqual([500, 'end', ''])
    expect(print.mock.calls).toEqual([[error]])
    print.mockRestore()
  })

  it.each<[string, () => unknown]>([
    [
      'throws',
      () => {
        throw new Error('no log')
      },
    ],
    ['rejects', () => Promise.reject(new Error('no log'))],
  ])('prints an error of onError that %s, and never rejects', async (_how, onError) => {
    const print = vi.spyOn(console, 'error').mockImplementation(() => {})
    const results: Array<Promise<void>> = []
    const listener = sse(() => Promise.reject(new Error('no database')), { onError, maxHeaderDelay: 5_000 })
    const { port } = await serveNode((request, response) => {
      results.push(listener(request, response))
    })
    const client = await get('http', port)
    expect([client.status, await client.ended]).toEqual([500, 'end'])
    expect(await Promise.all(results)).toEqual([undefined])
    await expect.poll(() => print.mock.calls).toEqual([[new Error('no log')]])
    print.mockRestore()
  })

  it('rejects with ERR_SSE_REQUEST without a request', async () => {
    const listener = sse(() => [])
    await expect(listener(undefined as never, undefined as never)).rejects.toMatchObject({
      code: 'ERR_SSE_REQUEST',
    })
  })

  it('cuts the connection if a middleware throws for any response headers', async () => {
    const errors: unknown[] = []
    const listener = sse((stream) => void stream.close(), { onError: (error) => errors.push(error) })
    const { port } = await serveNode((request, response) => {
      response.writeHead = () => {
        throw new Error('no session')
      }
      return listener(request, response)
    })
    await expect(get('http', port)).rejects.toThrow(/hang up|reset/)
    await expect.poll(() => errors).toEqual([new Error('no session')])
  })
})
