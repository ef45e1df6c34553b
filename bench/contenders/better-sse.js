import { createServer as createHttpServer } from 'node:http'
import { createSession } from 'better-sse'

export function createServer(onStream, options) {
  // Prevents better-sse from serializing data that is text.
  const given = options.isText ? { serializer: String } : undefined
  return createHttpServer(async (request, response) => {
    const session = await createSession(request, response, given)
    const onClose = onStream({
      send: (data) => session.push(data),
      async sendFrom(source) {
        for await (const { data } of source) session.push(data)
      },
      end: () => response.end(),
    })
    session.once('disconnected', () => onClose())
  })
}
