// Express: answers of a language model that outlive their clients. Reload the page, close it or open it twice in the
// middle of an answer. It shows the whole text once, and how the answer ended. Only the button stops the model.
// Run `node examples/runs/express.js`, then open the page, or start an answer and read it again:
//
//   curl -i -N -d 'What is a spillway?' http://localhost:3000/answers
//   curl -N http://localhost:3000/answers/<id>
//   curl -X DELETE http://localhost:3000/answers/<id>

import { randomUUID } from 'node:crypto'
import express from 'express'
import { gracefulShutdown, Runs } from 'spillway'
import { sse } from 'spillway/express'
import { answer } from './model.js'

const runs = new Runs()
const app = express()

app.get('/', (_request, response) => response.sendFile('page.html', { root: import.meta.dirname }))

app.post(
  '/answers',
  express.text({ type: '*/*' }),
  sse(
    async (stream, { body }, response) => {
      const run = await runs.start(randomUUID(), (signal) => answer(body, signal))
      response.location(`/answers/${run.id}`)
      await run.subscribe(stream)
    },
    // With a store on a broker, the headers wait until the run has started.
    { maxHeaderDelay: 10_000 },
  ),
)

app.get(
  '/answers/:id',
  sse((stream, { params }) => runs.subscribe(stream, String(params.id))),
)

app.delete('/answers/:id', async ({ params }, response) => {
  await runs.stop(params.id)
  response.sendStatus(204)
})

const server = app.listen(Number(process.env.PORT ?? 3000), '127.0.0.1', () => {
  const { port } = /** @type {import('node:net').AddressInfo} */ (server.address())
  console.log(`Ask at http://localhost:${port}`)
})

gracefulShutdown({ server, runs }) // answers that take longer than ten seconds from then end as `lost`
