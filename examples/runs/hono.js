// Hono on Node: answers of a language model that outlive their clients. Reload the page, close it or open it twice in
// the middle of an answer. It shows the whole text once, and how the answer ended. Only the button stops the model.
// Run `node examples/runs/hono.js`, then open the page, or start an answer and read it again:
//
//   curl -i -N -d 'What is a spillway?' http://localhost:3000/answers
//   curl -N http://localhost:3000/answers/<id>
//   curl -X DELETE http://localhost:3000/answers/<id>

import { randomUUID } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { serve } from '@hono/node-server'
import { Hono } from 'hono'
import { createSseResponse, gracefulShutdown, Runs } from 'spillway'
import { sse } from 'spillway/web'
import { answer } from './model.js'

const runs = new Runs()
const page = readFileSync(new URL('page.html', import.meta.url), 'utf8')
const streamRun = sse((stream, /** @type {Request} */ _request, /** @type {string} */ id) =>
  runs.subscribe(stream, id),
)

const app = new Hono()

app.get('/', (context) => context.html(page))

app.post('/answers', async (context) => {
  const question = await context.req.text()
  const run = await runs.start(randomUUID(), (signal) => answer(question, signal))
  const headers = { Location: `/answers/${run.id}` }
  return createSseResponse(context.req.raw, (stream) => run.subscribe(stream), { headers })
})

app.get('/answers/:id', (context) => streamRun(context.req.raw, context.req.param('id')))

app.delete('/answers/:id', async (context) => {
  await runs.stop(context.req.param('id'))
  return context.body(null, 204)
})

const port = Number(process.env.PORT ?? 3000)
const server = serve({ fetch: app.fetch, port, hostname: '127.0.0.1' }, ({ port }) => {
  console.log(`Ask at http://localhost:${port}`)
})

gracefulShutdown({ server, runs }) // answers that take longer than ten seconds from then end as `lost`
