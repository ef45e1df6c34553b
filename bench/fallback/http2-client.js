import { connect, constants } from 'node:http2'

/**
 * A `fetch` over HTTP/2, because that of Node.js uses HTTP/1.1. As in a browser, the requests of a client share a
 * connection. Any certificate is accepted.
 */
export class Http2Client {
  #session

  async fetch(target, { signal, headers, method = 'GET' }) {
    signal.throwIfAborted()
    const { origin, pathname, search } = new URL(target)
    const stream = this.#connect(origin).request(
      { ':method': method, ':path': pathname + search, ...Object.fromEntries(headers) },
      { signal },
    )
    const { ':status': status, ...fields } = await headersOf(stream)
    const names = Object.keys(fields).filter((name) => !name.startsWith(':'))
    const init = { status, headers: names.map((name) => [name, String(fields[name])]) }
    return new Response(status === 204 ? null : bodyOf(stream), init)
  }

  #connect(origin) {
    if (!this.#session || this.#session.closed || this.#session.destroyed) {
      this.#session = connect(origin, { rejectUnauthorized: false })
      // The requests fail with it.
      this.#session.on('error', () => {})
    }
    return this.#session
  }
}

function headersOf(stream) {
  return new Promise((resolve, reject) => {
    stream
      .once('response', resolve)
      .once('error', reject)
      .once('close', () => reject(new TypeError('There is no response.')))
  })
}

function bodyOf(stream) {
  return new ReadableStream({
    start(controller) {
      let isOpen = true
      const finish = (error) => {
        if (!isOpen) return
        isOpen = false
        // A stream that the other side has reset emits `end` too.
        if (error || stream.rstCode) controller.error(error ?? new TypeError('The stream was reset.'))
        else controller.close()
      }
      stream.on('data', (chunk) => {
        if (isOpen) controller.enqueue(chunk)
        if (controller.desiredSize <= 0) stream.pause()
      })
      stream.on('end', () => finish())
      stream.on('error', finish)
      stream.on('close', () => finish(new TypeError('The stream was cut.')))
    },
    pull: () => void stream.resume(),
    cancel: () => stream.close(constants.NGHTTP2_CANCEL),
  })
}
