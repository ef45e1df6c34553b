import { createServer } from 'node:http'
import { text } from 'node:stream/consumers'
import { createAdaptorServer } from '@hono/node-server'
import { createChannel, createSession } from 'better-sse'
import { Hono } from 'hono'
import { streamSSE } from 'hono/streaming'
import { createSseStream, Hub } from 'spillway'

// A server for each contender, as its documentation shows it: GET opens a stream, and POST publishes its body to all of
// them.

export const contenders = {
  spillway() {
    const channel = new Hub().channel('probes')
    return serve(
      (request, response) => channel.subscribe(createSseStream(request, response)),
      (data) => channel.publish({ data }),
    )
  },

  'better-sse'() {
    const channel = createChannel()
    return serve(
      async (request, response) => channel.register(await createSession(request, response)),
      (data) => channel.broadcast(data),
    )
  },

  hono() {
    const app = new Hono()
    const streams = new Set()
    let id = 0
    app.get('/', (context) =>
      streamSSE(context, async (stream) => {
        // Hono sends nothing before the first event, so a comment is written first.
        await stream.write(':\n\n')
        streams.add(stream)
        await new Promise((resolve) => stream.onAbort(resolve))
        streams.delete(stream)
      }),
    )
    app.post('/publish', async (context) => {
      const data = await context.req.text()
      id += 1
      for (const stream of streams) stream.writeSSE({ data, id: String(id) })
      return context.text('')
    })
    return createAdaptorServer({ fetch: app.fetch })
  },
}

function serve(subscribe, publish) {
  return createServer(async (request, response) => {
    if (request.method === 'GET') return subscribe(request, response)
    await publish(JSON.parse(await text(request)))
    response.end()
  })
}
