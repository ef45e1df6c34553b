import type { IncomingMessage } from 'node:http'
import { Readable } from 'node:stream'
import { type Answer, headersOf } from './answer.ts'

/** A request of superagent or supertest that was not sent yet. */
export interface SuperagentRequest {
  get(header: string): unknown
  set(header: string, value: string): unknown
  buffer(isBuffered: boolean): unknown
  parse(parser: (response: never, done: (error: Error | null, body: unknown) => void) => void): unknown
  end(callback: (error: unknown, response: SuperagentResponse | undefined) => void): unknown
  abort(): unknown
}

interface SuperagentResponse {
  readonly status: number
  readonly headers: Readonly<Record<string, unknown>>
}

/**
 * Sends the request and has its parser hand out the body, which the parser gets as soon as the head is there. All else
 * waits for the end: `await` for that of the body, and an unbuffered request for that of the server which supertest has
 * started.
 */
export function superagentAnswer(request: SuperagentRequest, signal: AbortSignal): Promise<Answer> {
  // Not returned: it is a promise of a kind, which would be awaited, and sent again.
  signal.addEventListener('abort', () => void request.abort())
  return new Promise((resolve, reject) => {
    const over = new Promise<unknown>((end) => {
      request.buffer(true)
      // As all other sources do: it would ask for compression, which changes when an event arrives.
      if (!request.get('Accept-Encoding')) request.set('Accept-Encoding', 'identity')
      request.parse((response: IncomingMessage, done) => {
        response.once('end', () => done(null, ''))
        resolve(answerOf(response.statusCode, response.headersDistinct, bodyOf(response)))
      })
      request.end((error, response) => {
        end(response && isExpectation(error) ? error : undefined)
        // Of a HEAD request nothing is parsed.
        if (response) resolve(answerOf(response.status, response.headers, Readable.from([])))
        else reject(error)
      })
    })

    // The expectations of supertest are checked at the end.
    async function leave(body: Readable) {
      request.abort()
      // Of a body that was paused before its end, an abort says nothing.
      body.destroy()
      const failed = await over
      if (failed) throw failed
    }

    function answerOf(status = 0, headers: Parameters<typeof headersOf>[0], body: Readable): Answer {
      return { status, headers: headersOf(headers), body, leave: () => leave(body) }
    }
  })
}

/**
 * The body as it was before it was packed. Superagent unpacks behind the `data` and `end` of the response, which come
 * after the `close` of the connection then: an end that was received is none of that.
 */
function bodyOf(response: IncomingMessage): Readable {
  const body = new Readable({
    read: () => void response.resume(),
    destroy(error, done) {
      response.destroy()
      done(error)
    },
  })
  response.on('data', (bytes: Uint8Array) => {
    if (!body.push(bytes)) response.pause()
  })
  response.once('end', () => body.push(null))
  response.once('error', (error) => body.destroy(error))
  response.once('close', () => {
    if (!response.complete) body.destroy()
  })
  // It flows already, because the request counts its bytes.
  response.pause()
  return body
}

// The error for a status that is no success has the status: here that is for the test to judge.
function isExpectation(error: unknown): boolean {
  return error instanceof Error && !('status' in error)
}
