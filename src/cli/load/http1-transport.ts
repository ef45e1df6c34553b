import { type ClientRequest, type IncomingMessage, request as requestHttp } from 'node:http'
import { request as requestHttps } from 'node:https'
import { hostOf, portOf } from '../connection-options.ts'
import { connectTo, type Endpoint } from './endpoint.ts'
import {
  type Exchange,
  type Failure,
  INCOMPLETE,
  type RequestOptions,
  type ResponseListener,
  type Transport,
} from './transport.ts'

/** Sends each request on a separate connection. */
export class Http1Transport implements Transport {
  readonly streamsPerConnection = 1
  readonly #endpoint: Endpoint

  constructor(endpoint: Endpoint) {
    this.#endpoint = endpoint
  }

  send({ method, headers, body, index }: RequestOptions, listener: ResponseListener): Exchange {
    const { url } = this.#endpoint
    const request = (url.protocol === 'https:' ? requestHttps : requestHttp)({
      method,
      // Node.js otherwise sends `Connection: close` for a connection without an agent, which no browser does.
      headers: {
        connection: body ? 'close' : 'keep-alive',
        ...headers,
        ...(body && { 'content-length': body.length }),
      },
      hostname: hostOf(url),
      port: portOf(url),
      path: url.pathname + url.search,
      // An agent would search its list of sockets whenever one is closed.
      createConnection: () => connectTo(this.#endpoint, ['http/1.1'], index),
    })
    const exchange = new Http1Exchange(request, listener)
    request.end(body)
    return exchange
  }

  close(): void {
    // A connection is closed with its exchange.
  }
}

class Http1Exchange implements Exchange {
  readonly #request: ClientRequest
  readonly #listener: ResponseListener
  #response: IncomingMessage | undefined
  #isDone = false

  constructor(request: ClientRequest, listener: ResponseListener) {
    this.#request = request
    this.#listener = listener
    request.on('response', (response) => this.#respond(response))
    request.on('error', (error: NodeJS.ErrnoException) => this.#fail(error))
    request.on('close', () => this.#fail(INCOMPLETE))
    // A response with the status 101. Without this listener, the request would end without a response.
    request.on('upgrade', (response, socket) => {
      socket.destroy()
      if (this.#isDone) return
      this.#listener.onResponse(response.statusCode ?? 0, response.headers)
      this.#fail(INCOMPLETE)
    })
  }

  pause(): void {
    this.#response?.pause()
  }

  resume(): void {
    this.#response?.resume()
  }

  destroy(): void {
    this.#isDone = true
    this.#request.destroy()
  }

  #respond(response: IncomingMessage): void {
    if (this.#isDone) {
      response.destroy()
      return
    }
    this.#response = response
    // The connection was cut. `close` without `end` follows in any case.
    response.on('error', () => {})
    response.on('data', (chunk: Buffer) => this.#isDone || this.#listener.onBody(chunk))
    response.on('end', () => this.#end())
    response.on('close', () => this.#fail(INCOMPLETE))
    this.#listener.onResponse(response.statusCode ?? 0, response.headers)
  }

  #end(): void {
    if (this.#isDone) return
    this.destroy()
    this.#listener.onEnd()
  }

  #fail(failure: Failure): void {
    if (this.#isDone) return
    this.destroy()
    this.#listener.onFailure(failure)
  }
}
