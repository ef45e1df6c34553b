import { expect, it } from 'vitest'
import { createSseStream } from '../../src/http/create-sse-stream.ts'
import { get } from '../support/client.ts'
import { serve } from '../support/serve.ts'

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
