// One route to publish, one to follow, on Hono. `node examples/hono.js`

import { serve } from '@hono/node-server'
import { Hono } from 'hono'
import { Hub } from 'spillway'
import { sse } from 'spillway/web'

const hub = new Hub()
const news = hub.channel('news')
const follow = sse((stream) => news.subscribe(stream))

const app = new Hono()
app.get('/news', (context) => follow(context.req.raw))
app.post('/news', async (context) => {
  const id = await news.publish({ data: await context.req.text() })
  return context.json({ id }, 201)
})

const port = Number(process.env.PORT ?? 3000)
const server = serve({ fetch: app.fetch, port, hostname: '127.0.0.1' }, ({ port }) => {
  console.log(`Follow with curl -N, publish with curl -d hello: http://localhost:${port}/news`)
})

process.once('SIGTERM', () => {
  server.close()
  void hub.shutdown()
})
