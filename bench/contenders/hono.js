import { createAdaptorServer } from '@hono/node-server'
import { Hono } from 'hono'
import { streamSSE } from 'hono/streaming'

export function createServer(onStream) {
  const app = new Hono()
  app.get('/', (context) =>
    streamSSE(context, async (stream) => {
      // Nothing leaves before the first event: a comment stands for it.
      await stream.write(':\n\n')
      let onClose
      await new Promise((end) => {
        const send = (data) => stream.writeSSE({ data: JSON.stringify(data) })
        onClose = onStream({
          send,
          async sendFrom(source) {
            for await (const { data } of source) await send(data)
          },
          end,
        })
        stream.onAbort(end)
      })
      onClose()
    }),
  )
  return createAdaptorServer({ fetch: app.fetch })
}
