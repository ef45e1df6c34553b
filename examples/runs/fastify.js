// Fastify: answers of a language model that outlive their clients. Reload the page, close it or open it twice in the
// middle of an answer. It shows the whole text once, and how the answer ended. Only the button stops the model.
// Run `node examples/runs/fastify.js`, then open the page, or start an answer and read it again:
//
//   curl -i -N -H 'Content-Type: text/plain' -d 'What is a spillway?' http://localhost:3000/answers
//   curl -N http://localhost:3000/answers/<id>
//   curl -X DELETE http://localhost:3000/answers/<id>

import { randomUUID } from 'node:crypto'
import { createReadStream } from 'node:fs'
import Fastify from 'fastify'
import { gracefulShutdown, Runs } from 'spillway'
import { sse } from 'spillway/fastify'
import { answer } from './model.js'

const runs = new Runs()
const fastify = Fastify()

fastify.get('/', (_request, reply) => {
  reply.type('text/html').send(createReadStream(new URL('page.html', import.meta.url)))
})

fastify.post(
  '/answers',
  sse(
    async (stream, { body }, reply) => {
      const run = await runs.start(randomUUID(), (signal) => answer(String(body), signal))
      reply.header('Location', `/answers/${run.id}`)
      await run.subscribe(stream)
    },
    // With a store on a broker, the headers wait until the run has started.
    { maxHeaderDelay: 10_000 },
  ),
)

fastify.get(
  '/answers/:id',
  sse((stream, { params }) => {
    const { id } = /** @type {{ id: string }} */ (params)
    return runs.subscribe(stream, id)
  }),
)

fastify.delete('/answers/:id', async ({ params }, reply) => {
  const { id } = /** @type {{ id: string }} */ (params)
  await runs.stop(id)
  return reply.code(204).send()
})

// Answers that take longer than ten seconds from then end as `lost`.
gracefulShutdown({ server: fastify.server, runs, onClosed: () => fastify.close() })

const url = await fastify.listen({ host: '127.0.0.1', port: Number(process.env.PORT ?? 3000) })
console.log(`Ask at ${url}`)
