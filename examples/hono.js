// Hono on Node: publishes with POST and streams with GET.
// Run `node examples/hono.js`, then the two commands that it prints.

import { serve } from '@hono/node-server'
import { Hono } from 'hono'
import { gracefulShutdown, Hub } from 'spillway'
import { sse } from 'spillway/web'

const hub = new Hub()
const news = hub.channel('news')
const streamNews = sse((stream) => {
  if (stream.lastEventId === undefined) stream.send({ event: 'hello', data: 'Waiting for news.' })
  news.subscribe(stream)
})

const app = new Hono()
app.get('/news', (context) => streamNews(context.req.raw))
app.post('/news', async (context) => {
  const id = await news.publish({ data: await context.req.text() })
  return context.json({ id }, 201)
})

const port = Number(process.env.PORT ?? 3000)
const server = serve({ fetch: app.fetch, port, hostname: '127.0.0.1' }, ({ port }) => {
  console.log(`Stream with curl -N, publish with curl -d hello: http://localhost:${port}/news`)
})

gracefulShutdown({ server, hub })
