import { createServer as createHttpServer } from 'node:http'

// Code without a library: `writeHead`, and a string for each event.
export function createServer(onStream) {
  return createHttpServer((_request, response) => {
    response.writeHead(200, {
      'Content-Type': 'text/event-stream; charset=utf-8',
      'Cache-Control': 'no-cache, no-transform',
      'X-Accel-Buffering': 'no',
    })
    response.write(':\nretry: 3000\n')
    const send = (data) => response.write(`data: ${JSON.stringify(data)}\n\n`)
    const onClose = onStream({
      send,
      async sendFrom(source) {
        for await (const { data } of source) send(data)
      },
      end: () => response.end(),
    })
    response.on('close', () => onClose())
  })
}
