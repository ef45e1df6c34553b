import type { IncomingMessage, ServerResponse } from 'node:http'
import { onTestFinished } from 'vitest'
import { serve } from './serve.ts'

const PADDING = `: ${' '.repeat(2046)}\n`

/** A request that an event server has received. */
export interface ServedRequest {
  readonly kind: 'stream' | 'poll'
  readonly after: string
  readonly query: Record<string, string>
}

/**
 * Starts a server that follows the protocol of the client: a stream or, with `?format=json`, a long poll of one log. It
 * is independent of the server side of the library. `heartbeat` and `hold` in ms. `files` are served beside it, by
 * their path.
 */
export async function startEventServer({
  heartbeat = 15_000,
  hold = 5000,
  retry = 100,
  files = {} as Record<string, { readonly type: string; readonly body: string }>,
} = {}) {
  const log: string[] = []
  const requests: ServedRequest[] = []
  const streams = new Set<ServerResponse>()
  const waiting = new Set<() => void>()
  const text = (index: number) => `id: run-${index + 1}\ndata: ${log[index]}\n\n`

  const stream = (response: ServerResponse, start: number, isPadded: boolean) => {
    // With `Connection: close`, the `fetch` of Node.js treats a cut as the end of the body.
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    response.write(
      `: heartbeat ${heartbeat}\nretry: ${retry}\nid: run-${start}\nevent: position\ndata: {}\n\n`,
    )
    for (let index = start; index < log.length; index++) response.write(text(index))
    if (isPadded) response.write(PADDING)
    const beat = setInterval(() => response.write(isPadded ? PADDING : ':\n'), heartbeat)
    streams.add(response)
    response.on('close', () => {
      clearInterval(beat)
      streams.delete(response)
    })
  }

  const poll = async (response: ServerResponse, start: number) => {
    if (start === log.length) {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, hold)
        waiting.add(resolve)
        response.on('close', resolve)
        response.on('close', () => clearTimeout(timer))
      })
    }
    const events = log.slice(start).map((data, i) => ({ event: 'message', id: `run-${start + i + 1}`, data }))
    const body = JSON.stringify({ events, lastEventId: `run-${log.length}`, retry: 0 })
    response.writeHead(200, { 'content-type': 'application/json', connection: 'close' }).end(body)
  }

  const { port, url } = await serve((request: IncomingMessage, response: ServerResponse) => {
    const { pathname, searchParams } = new URL(request.url ?? '', 'http://localhost')
    const file = files[pathname]
    if (file) {
      response.writeHead(200, { 'content-type': file.type, connection: 'close' }).end(file.body)
      return
    }
    const query = Object.fromEntries(searchParams)
    const after = String(query.lastEventId ?? request.headers['last-event-id'] ?? '')
    const start = after ? Number(after.replace('run-', '')) : log.length
    const kind = query.format === 'json' ? 'poll' : 'stream'
    requests.push({ kind, after, query })
    if (kind === 'poll') void poll(response, start)
    else stream(response, start, query.padded === '1')
  })
  onTestFinished(() => {
    for (const resolve of waiting) resolve()
  })
  return {
    port,
    url,
    log,
    requests,
    streams,
    publish(data: string): void {
      log.push(data)
      for (const response of streams) response.write(text(log.length - 1))
      for (const resolve of waiting) resolve()
      waiting.clear()
    },
    /** Ends all streams, as a server that drains does. */
    endStreams(): void {
      for (const response of streams) response.end()
    },
  }
}
