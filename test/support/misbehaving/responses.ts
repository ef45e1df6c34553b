import type { IncomingMessage, ServerResponse } from 'node:http'
import { type Headers, StreamServer } from './stream-server.ts'

/** Faults of the response headers, and of the responses to other requests than that of the stream. */

/** A server whose stream has other headers. */
export function withHeaders(change: Headers): new () => StreamServer {
  return class extends StreamServer {
    protected override headers(request: IncomingMessage): Headers {
      return { ...super.headers(request), ...change }
    }
  }
}

/** A server that has no stream, but another response. */
export function responding(status: number, headers: Headers = {}, body = ''): new () => StreamServer {
  return class extends StreamServer {
    override handle(_request: IncomingMessage, response: ServerResponse): void {
      response.writeHead(status, headers).end(body)
    }
  }
}

/** A server whose preflight or stream has other headers of CORS. */
export function withCors(change: Headers): new () => StreamServer {
  return class extends StreamServer {
    protected override corsHeaders(request: IncomingMessage): Headers {
      return { ...super.corsHeaders(request), ...change }
    }
  }
}

/** Responds 406 unless the request names the type, as @fastify/sse and MCP do. */
export class AcceptRequired extends StreamServer {
  override handle(request: IncomingMessage, response: ServerResponse): void {
    if (/text\/event-stream/.test(`${request.headers.accept}`) || request.method !== 'GET')
      super.handle(request, response)
    else response.writeHead(406).end()
  }
}

/** Responds 406 to the SDKs of language models. */
export class LlmAcceptRefused extends StreamServer {
  override handle(request: IncomingMessage, response: ServerResponse): void {
    if (request.headers.accept === 'application/json') response.writeHead(406).end()
    else super.handle(request, response)
  }
}

/** Sends a page that a cache may keep by `Accept`, and does not state that. */
export class CacheablePageByAccept extends StreamServer {
  protected override stream(request: IncomingMessage, response: ServerResponse): void {
    if (request.headers.accept === 'application/json')
      this.json(response, this.page(), { 'cache-control': 'public, max-age=60' })
    else super.stream(request, response)
  }
}

/** Labels each response after the first as a copy of a cache, unless its request has a `Cache-Control`. */
export class CachedForSecond extends StreamServer {
  #isKept = false

  protected override headers(request: IncomingMessage): Headers {
    const isCopy = this.#isKept && request.headers['cache-control'] === undefined
    this.#isKept = true
    return { ...super.headers(request), 'x-cache': isCopy ? 'HIT' : 'MISS' }
  }
}

/** Does the same without a header that states it. A copy has the date of the first response. */
export class CachedWithoutHint extends StreamServer {
  #date: string | undefined

  protected override headers(request: IncomingMessage): Headers {
    const now = new Date().toUTCString()
    const isCopy = this.#date !== undefined && request.headers['cache-control'] === undefined
    this.#date ??= now
    return { ...super.headers(request), date: isCopy ? this.#date : now }
  }
}

/** Allows four requests at a time, and refuses others as a limit of nginx does. */
export class Limited extends StreamServer {
  #open = 0

  override handle(request: IncomingMessage, response: ServerResponse): void {
    this.#open += 1
    response.once('close', () => {
      this.#open -= 1
    })
    if (this.#open > 4) response.writeHead(503).end()
    else super.handle(request, response)
  }
}

export class HeadHangs extends StreamServer {
  protected override head(): void {}
}

export class HeadNotFound extends StreamServer {
  protected override head(_request: IncomingMessage, response: ServerResponse): void {
    response.writeHead(404).end()
  }
}

export class PreflightNotFound extends StreamServer {
  protected override preflight(_request: IncomingMessage, response: ServerResponse): void {
    response.writeHead(404).end()
  }
}

/** Ends its responses with the end of the connection, as a server of HTTP/1.0 does. */
export class NotChunked extends StreamServer {
  protected override sendHeaders(request: IncomingMessage, response: ServerResponse): void {
    response.removeHeader('transfer-encoding')
    response.shouldKeepAlive = false
    super.sendHeaders(request, response)
  }
}

export class PollNotChunked extends StreamServer {
  protected override poll(_request: IncomingMessage, response: ServerResponse): void {
    response.removeHeader('transfer-encoding')
    response.writeHead(200, { 'content-type': 'application/json', 'cache-control': 'no-store' })
    response.write(JSON.stringify(this.page()))
    response.end()
  }
}

export class PollWithoutCursor extends StreamServer {
  protected override page(): object {
    return { ...super.page(), lastEventId: undefined }
  }
}

export class NdjsonAsJson extends StreamServer {
  protected override ndjsonType(): string {
    return 'application/json'
  }
}

export class NdjsonWithFields extends StreamServer {
  protected override ndjsonLines(): string[] {
    return super.ndjsonLines().map((line) => `data: ${line}`)
  }
}

/** Negotiates HTTP/2, and responds to no request over it. */
export class Http2Silent extends StreamServer {
  override readonly isSecure = true

  override handle(request: IncomingMessage, response: ServerResponse): void {
    if (request.httpVersionMajor === 1) super.handle(request, response)
  }
}

/** Negotiates HTTP/2, and resets each stream. */
export class Http2Resets extends StreamServer {
  override readonly isSecure = true

  override handle(request: IncomingMessage, response: ServerResponse): void {
    const { stream } = response as unknown as { stream?: { close(code: number): void } }
    if (stream && request.httpVersionMajor === 2) stream.close(1)
    else super.handle(request, response)
  }
}
