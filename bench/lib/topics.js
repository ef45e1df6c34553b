import { createServer } from 'node:http'
import { createSession } from 'better-sse'
import { createSseStream } from 'spillway'

/** For a server whose clients follow a channel of a hub: what `serve` asks for. */
export function followChannel(channel) {
  return (onStream) =>
    createServer((request, response) => {
      const stream = createSseStream(request, response)
      channel.subscribe(stream)
      stream.on('close', onStream({}))
    })
}

/** The same for a channel of better-sse. */
export function followBetterSse(channel) {
  return (onStream) =>
    createServer(async (request, response) => {
      const session = await createSession(request, response)
      channel.register(session)
      const onClose = onStream({})
      session.once('disconnected', () => onClose())
    })
}
