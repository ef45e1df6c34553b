export function GET() {
  const encoder = new TextEncoder()
  let onClose
  const body = new ReadableStream({
    start(controller) {
      const send = (data) => controller.enqueue(encoder.encode(`data: ${JSON.stringify(data)}\n\n`))
      controller.enqueue(encoder.encode(':\n\n'))
      onClose = globalThis.onStream({
        send,
        async sendFrom(source) {
          for await (const { data } of source) send(data)
        },
        end() {
          controller.close()
          onClose()
        },
      })
    },
    cancel: () => onClose(),
  })
  const headers = {
    'Content-Type': 'text/event-stream; charset=utf-8',
    'Cache-Control': 'no-cache, no-transform',
  }
  return new Response(body, { headers })
}
