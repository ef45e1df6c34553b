import { expect, it } from 'vitest'
import { createSseStream } from '../../src/http/create-sse-stream.ts'
import { get } from '../support/client.ts'
import { serve } from '../support/serve.ts'

it('sendHead passes each response headers of its own, to which a middleware may add', async () => {
  let count = 0
  const { port } = await serve((req, res) => {
    const writeHead = res.writeHead as (status: number, headers: Record<string, unknown>) => typeof res
    const number = ++count
    Object.assign(res, {
      writeHead: (status: number, headers: Record<string, unknown>) => {
        headers[`x-request-${number}`] = 'yes'
        return writeHead.call(res, status, headers)
      },
    })
    createSseStream(req, res)
  })
  const clients = [await get('http', port), await get('http', port)]
  const added = clients.map(({ headers }) => Object.keys(headers).filter((name) => /^x-request/.test(name)))
  expect(added).toEqual([['x-request-1'], ['x-request-2']])
})

it('sendHead sends a header of the caller once, instead of the default, in any letter case (rule 13)', async () => {
  const headers = { 'cache-control': 'no-store, no-transform', 'x-accel-buffering': 'yes', VARY: 'Origin' }
  const { port } = await serve((req, res) => createSseStream(req, res, { headers }))
  const client = await get('http', port)
  expect(client.headers).toMatchObject({
    'cache-control': 'no-store, no-transform',
    'x-accel-buffering': 'yes',
    vary: 'Origin',
  })
})
