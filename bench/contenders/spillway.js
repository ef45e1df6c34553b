import { createServer as createHttpServer } from 'node:http'
import { createSseStream } from 'spillway'

export function createServer(onStream, options) {
  return createHttpServer((request, response) => {
    const stream = createSseStream(request, response, options)
    const onClose = onStream({
      send: (data) => stream.send({ data }),
      sendFrom: (source) => stream.sendAll(source),
      end: () => stream.close(),
    })
    stream.on('close', onClose)
  })
}
