import { sse } from 'spillway/next'

export const GET = sse(
  (stream) =>
    new Promise((resolve) => {
      const onClose = globalThis.onStream({
        send: (data) => stream.send({ data }),
        sendFrom: (source) => stream.sendAll(source),
        end: resolve,
      })
      stream.on('close', onClose)
    }),
)
