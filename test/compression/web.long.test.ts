import type { IncomingMessage, ServerResponse } from 'node:http'
import { getRequestListener } from '@hono/node-server'
import { vi } from 'vitest'
import { createSseResponse } from '../../src/http/create-sse-response.ts'
import type { SseStreamOptions } from '../../src/http/options.ts'
import type { SseStream } from '../../src/stream/stream.ts'
import { ENCODINGS } from '../support/decode.ts'
import { transportContract } from '../transports/contract.ts'

// The contract creates its streams from the request and the response of Node. This mock serves a web response instead.
vi.mock('../../src/http/create-sse-stream.ts', () => ({
  createSseStream(request: IncomingMessage, response: ServerResponse, options: SseStreamOptions) {
    let opened: SseStream | undefined
    const handler = (stream: SseStream) => {
      opened = stream
    }
    const respond = (webRequest: Request) => createSseResponse(webRequest, handler as never, options)
    void getRequestListener(respond)(request, response)
    return opened
  },
}))

// The server logs an error for each stream that is destroyed.
vi.spyOn(console, 'error').mockImplementation(() => {})

for (const encoding of ENCODINGS) {
  transportContract({
    name: `a web response with ${encoding}`,
    protocol: 'http',
    options: { compress: true },
    headers: { 'accept-encoding': encoding },
  })
}
