import { createServer as createHttpServer } from 'node:http'
import { createChannel, createSession } from 'better-sse'
import { createSseStream, Hub } from 'spillway'

// One topic that all clients subscribe to. `publish` sends an event to all of them. `createServer` is that of
// `node:http` or of `node:http2`.

const NAME = 'price'

const HEADERS = {
  'Content-Type': 'text/event-stream; charset=utf-8',
  'Cache-Control': 'no-cache, no-transform',
  'X-Accel-Buffering': 'no',
}

/** Writes the response headers directly. `send` is called with the text of an event and all responses. */
export function topicByHand(send, createServer = createHttpServer) {
  const responses = new Set()
  return {
    createServer: (onStream) =>
      createServer((_request, response) => {
        response.writeHead(200, HEADERS)
        response.write(':\nretry: 3000\n')
        responses.add(response)
        const onClose = onStream({})
        response.on('close', () => {
          responses.delete(response)
          onClose()
        })
      }),
    publish(data) {
      // The id is as long as an id of Spillway.
      send(`event: ${NAME}\ndata: ${JSON.stringify(data)}\nid: 0123456789ab-${data.n}\n\n`, responses)
    },
  }
}

/** Writes a string that is encoded once, in a loop. */
export function topicOfWrites(createServer) {
  return topicByHand((text, responses) => {
    for (const response of responses) response.write(text)
  }, createServer)
}

export function topicOfSpillway(createServer, optionsOf, streamOptions) {
  const channel = new Hub().channel('prices')
  return {
    createServer: subscribeChannel(channel, createServer, optionsOf, streamOptions),
    publish: (data) => channel.publish({ event: NAME, data }),
  }
}

export function topicOfBetterSse(createServer) {
  const channel = createChannel()
  return {
    createServer: subscribeBetterSse(channel, createServer),
    publish: (data) => channel.broadcast(data, NAME),
  }
}

/**
 * Returns the `createServer` function of a contender whose clients subscribe to a channel of a hub. `optionsOf` returns
 * the options of the client with a number.
 */
export function subscribeChannel(
  channel,
  createServer = createHttpServer,
  optionsOf = () => undefined,
  streamOptions = undefined,
) {
  let clients = 0
  return (onStream) =>
    createServer((request, response) => {
      const stream = createSseStream(request, response, streamOptions)
      channel.subscribe(stream, optionsOf(clients++))
      stream.on('close', onStream({}))
    })
}

/** Returns the same for a channel of better-sse. */
export function subscribeBetterSse(channel, createServer = createHttpServer) {
  return (onStream) =>
    createServer(async (request, response) => {
      const session = await createSession(request, response)
      channel.register(session)
      const onClose = onStream({})
      session.once('disconnected', () => onClose())
    })
}
