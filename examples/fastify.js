// Fastify: rooms whose messages are streamed. A client that reconnects gets the messages that it missed.
// Run `node examples/fastify.js`, then open a room and send a message in another terminal:
//
//   curl -N http://localhost:3000/rooms/lobby
//   curl -H 'Content-Type: text/plain' -d 'hello' http://localhost:3000/rooms/lobby

import Fastify from 'fastify'
import { gracefulShutdown, Hub } from 'spillway'
import { spillwayPlugin, sse } from 'spillway/fastify'

const hub = new Hub()
const fastify = Fastify()

// Closes the streams when Fastify closes. Otherwise `fastify.close()` would wait for them.
await fastify.register(spillwayPlugin, { grace: 3_000 })

fastify.get(
  '/rooms/:room',
  sse((stream, request) => {
    const { room } = /** @type {{ room: string }} */ (request.params)
    if (stream.lastEventId === undefined) stream.send({ event: 'joined', data: { room } })
    return hub.subscribe(stream, room)
  }),
)

fastify.post('/rooms/:room', async (request, reply) => {
  const { room } = /** @type {{ room: string }} */ (request.params)
  const id = await hub.channel(room).publish({ event: 'said', data: request.body })
  return reply.code(202).send({ id })
})

gracefulShutdown({ server: fastify.server, hub, onClosed: () => fastify.close() })

const url = await fastify.listen({ host: '127.0.0.1', port: Number(process.env.PORT ?? 3000) })
console.log(`The lobby is at ${url}/rooms/lobby`)
