import { getRequestListener } from '@hono/node-server'
import { Hono } from 'hono'
import { sse } from '../../src/adapters/web.ts'
import { listen } from '../support/serve.ts'
import { adapterContract } from './contract.ts'

adapterContract({
  name: 'web, Hono on @hono/node-server',
  sse,
  passesOn: false,
  keepsEarlierHeaders: true,
  cutsBody: true,
  async serve(handler, options) {
    const errors: unknown[] = []
    const answer = sse((stream, request) => handler(stream, { body: () => request.text() }) as never, {
      ...options,
      onError: (error) => errors.push(error),
    })
    const app = new Hono()
    app.use(async (context, next) => {
      await next()
      context.res.headers.append('Set-Cookie', 'earlier=1')
    })
    app.all('/stream', (context) => answer(context.req.raw))
    app.onError((error, context) => {
      errors.push(error)
      return context.text('sorry', 500)
    })
    return { ...(await listen(getRequestListener(app.fetch))), errors }
  },
})
