import { createServer } from 'node:http'
import compression from 'compression'
import { createSseStream, Hub } from 'spillway'

const NAME = 'metrics'

function spillway(options) {
  const channel = new Hub().channel('metrics')
  return {
    createServer: (onStream) =>
      createServer((request, response) => {
        const stream = createSseStream(request, response, options)
        channel.subscribe(stream)
        const onClose = onStream({ send: (data) => stream.send({ event: NAME, data }) })
        stream.on('close', onClose)
      }),
    publish: (data) => channel.publish({ event: NAME, data }),
  }
}

// `res.write` behind the middleware `compression`, which compresses if `no-transform` is omitted, and a flush after
// each event.
function middleware() {
  const compress = compression()
  const responses = new Set()
  const write = (response, text) => {
    response.write(text)
    response.flush()
  }
  const textOf = (data) => `event: ${NAME}\ndata: ${JSON.stringify(data)}\nid: 0123456789ab-${data.n}\n\n`
  return {
    createServer: (onStream) =>
      createServer((request, response) =>
        compress(request, response, () => {
          response.writeHead(200, {
            'Content-Type': 'text/event-stream; charset=utf-8',
            'Cache-Control': 'no-cache',
          })
          write(response, ':\nretry: 3000\n')
          responses.add(response)
          const onClose = onStream({ send: (data) => write(response, textOf(data)) })
          response.on('close', () => {
            responses.delete(response)
            onClose()
          })
        }),
      ),
    publish(data) {
      const text = textOf(data)
      for (const response of responses) write(response, text)
    },
  }
}

export const contenders = {
  plain: () => spillway(),
  spillway: () => spillway({ compress: true }),
  middleware,
}
