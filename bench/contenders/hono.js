import { createAdaptorServer } from '@hono/node-server'
import { Hono } from 'hono'
import { streamSSE } from 'hono/streaming'

export function createServer(onStream) {
  const app = new Hono()
  app.get('/', (context) =>
    streamSSE(context, async (stream) => {
      // Hono sends nothing before the first event, so a comment is written first.
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
