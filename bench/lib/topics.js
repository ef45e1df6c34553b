import { createServer } from 'node:http'
import { createSession } from 'better-sse'
import { createSseStream } from 'spillway'

/**
 * Returns the `createServer` function of a contender whose clients subscribe to a channel of a hub. `optionsOf` returns the
 * options of the client with a number.
 */
export function subscribeChannel(channel, optionsOf = () => undefined) {
  let clients = 0
  return (onStream) =>
    createServer((request, response) => {
      const stream = createSseStream(request, response)
      channel.subscribe(stream, optionsOf(clients++))
      stream.on('close', onStream({}))
    })
}

/** Returns the same for a channel of better-sse. */
export function subscribeBetterSse(channel) {
  return (onStream) =>
    createServer(async (request, response) => {
      const session = await createSession(request, response)
      channel.register(session)
      const onClose = onStream({})
      session.once('disconnected', () => onClose())
    })
}
