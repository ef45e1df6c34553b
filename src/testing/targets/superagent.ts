import type { IncomingMessage } from 'node:http'
import { Readable } from 'node:stream'
import { headersOf, type OpenResponse } from './open-response.ts'

/** A request of superagent or supertest that was not sent yet. */
export interface SuperagentRequest {
  /** Of supertest: the server that it asks. */
  readonly app?: unknown
  get(header: string): unknown
  set(header: string, value: string): unknown
  retry(times: number): unknown
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
export function superagentAnswer(request: SuperagentRequest, signal: AbortSignal): Promise<OpenResponse> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(signal.reason)
    // Nobody is told of an abort before there is a head.
    signal.addEventListener('abort', () => {
      request.abort()
      reject(signal.reason)
    })
    // Each head is an answer, whatever its status.
    request.retry(0)
    const over = new Promise<unknown>((end) => {
      request.buffer(true)
      // As all other sources do: it would ask for compression, which changes when an event arrives.
      if (!request.get('Accept-Encoding')) request.set('Accept-Encoding', 'identity')
      request.parse((response: IncomingMessage, done) => {
        response.once('end', () => done(null, ''))
        resolve(answerOf(response.statusCode, response.headersDistinct ?? response.headers, bodyOf(response)))
      })
      request.end((error, response) => {
        end(response && isExpectation(error, response) ? error : undefined)
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

    function answerOf(status = 0, headers: Parameters<typeof headersOf>[0], body: Readable): OpenResponse {
      return { status, headers: headersOf(headers), body, close: () => leave(body) }
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
  // What answers over HTTP/2 is a stream, which ends when it is reset too, and has no `complete`.
  const isCut = () => ('rstCode' in response ? response.rstCode !== 0 : !response.complete)
  response.once('end', () => (isCut() ? body.destroy() : body.push(null)))
  response.once('error', (error) => body.destroy(error))
  response.once('close', () => {
    if (isCut()) body.destroy()
  })
  // It flows already, because the request counts its bytes.
  response.pause()
  return body
}

// The error for a status that is no success has its response: here that is for the test to judge.
function isExpectation(error: unknown, response: unknown): boolean {
  return error instanceof Error && (error as { response?: unknown }).response !== response
}
