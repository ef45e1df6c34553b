import type { IncomingMessage, ServerResponse } from 'node:http'
import { constants, createGzip } from 'node:zlib'
import type { FeedEvent } from './feed.ts'
import { type Block, type Headers, StreamServer } from './stream-server.ts'

/** Faults of the time at which bytes arrive, of resume, and of the end. */

/** Sends no response headers. */
export class Silent extends StreamServer {
  protected override stream(): void {}
}

/** Sends the response headers late, and the body later. */
export class SlowHeaders extends StreamServer {
  protected override stream(request: IncomingMessage, response: ServerResponse): void {
    setTimeout(() => this.sendHeaders(request, response), 5_400)
    setTimeout(() => super.stream(request, response), 5_900)
  }

  protected override sendHeaders(request: IncomingMessage, response: ServerResponse): void {
    if (!response.headersSent) super.sendHeaders(request, response)
    response.flushHeaders()
  }
}

/** Sends the response headers of a stream with its first bytes only, as proxies do. */
export class HeldHeaders extends StreamServer {
  protected override stream(request: IncomingMessage, response: ServerResponse): void {
    setTimeout(() => super.stream(request, response), 1_600)
  }
}

/** Sends the response headers, and never a body. */
export class NoBody extends StreamServer {
  protected override stream(request: IncomingMessage, response: ServerResponse): void {
    this.sendHeaders(request, response)
    response.flushHeaders()
  }
}

/** Sends the response headers at once, and the body late. */
export class SlowFirstByte extends NoBody {
  protected override stream(request: IncomingMessage, response: ServerResponse): void {
    super.stream(request, response)
    setTimeout(() => this.begin(request, response), 5_400)
  }
}

/** Compresses a stream. Without a flush, the compressor holds all events. */
function compressing(flush: number): new () => StreamServer {
  return class extends StreamServer {
    protected override headers(request: IncomingMessage): Headers {
      const isAccepted = `${request.headers['accept-encoding']}`.includes('gzip')
      return { ...super.headers(request), ...(isAccepted && { 'content-encoding': 'gzip' }) }
    }

    protected override begin(request: IncomingMessage, response: ServerResponse): void {
      if (response.hasHeader('content-encoding')) this.#compress(response)
      response.flushHeaders()
      super.begin(request, response)
    }

    protected override sendHeaders(request: IncomingMessage, response: ServerResponse): void {
      for (const [name, value] of Object.entries(this.headers(request)))
        if (value !== undefined) response.setHeader(name, value)
    }

    #compress(response: ServerResponse): void {
      const write = response.write.bind(response) as (bytes: Buffer) => boolean
      const gzip = createGzip({ flush })
      gzip.on('data', (bytes: Buffer) => !response.destroyed && write(bytes))
      response.write = ((block: Block) => gzip.write(block)) as typeof response.write
    }
  }
}

export const CompressedAndHeld = compressing(constants.Z_NO_FLUSH)
export const Compressed = compressing(constants.Z_SYNC_FLUSH)

/** Collects what is written, and sends it at an interval, as a proxy that buffers does. The events have a time. */
export class Buffered extends StreamServer {
  protected override readonly interval = 100
  readonly #held = new Map<ServerResponse, Block[]>()
  // Several times as long as a busy machine stops this process.
  readonly #timer = setInterval(() => this.#flush(), 2_500)

  override close(): void {
    super.close()
    clearInterval(this.#timer)
  }

  protected override begin(request: IncomingMessage, response: ServerResponse): void {
    response.flushHeaders()
    super.begin(request, response)
  }

  protected override block({ id, time }: FeedEvent): Block {
    return `id: ${id}\ndata: {"time":${time}}\n\n`
  }

  protected override write(response: ServerResponse, block: Block): void {
    this.#held.set(response, [...(this.#held.get(response) ?? []), block])
  }

  #flush(): void {
    for (const [response, blocks] of this.#held) super.write(response, blocks.join(''))
    this.#held.clear()
  }
}

/** Sends events later to a client without compression, as a proxy may on one kind of connection. */
export class Delayed extends StreamServer {
  protected override begin(request: IncomingMessage, response: ServerResponse): void {
    if (request.headers['accept-encoding'] === undefined) this.#slow.add(response)
    super.begin(request, response)
  }

  readonly #slow = new WeakSet<ServerResponse>()

  protected override write(response: ServerResponse, block: Block): void {
    if (this.#slow.has(response)) setTimeout(() => super.write(response, block), 800)
    else super.write(response, block)
  }
}

/** Sends nothing after the beginning. */
export class NoHeartbeat extends StreamServer {
  protected override readonly interval = Number.POSITIVE_INFINITY

  protected override follow(): void {}
}

/** Sends heartbeats and no events. */
export class NoEvents extends StreamServer {
  protected override readonly interval = Number.POSITIVE_INFINITY
}

export class NoIds extends StreamServer {
  protected override first(): Block[] {
    return []
  }

  protected override block({ data }: FeedEvent): Block {
    return `data: ${data}\n\n`
  }
}

/** Sends the first id with the first event only. */
export class NoFirstPosition extends StreamServer {
  protected override readonly interval = 1_600

  protected override first(): Block[] {
    return []
  }
}

/** Fails for each reconnect with an id. */
export class ResumeFails extends StreamServer {
  protected override stream(request: IncomingMessage, response: ServerResponse): void {
    if (request.headers['last-event-id'] === undefined) super.stream(request, response)
    else response.writeHead(500).end()
  }
}

export class ResumeIgnored extends StreamServer {
  protected override missed(): Block[] {
    return []
  }
}

/** Loses the third event after the id, whether it is missed or live. */
export class ResumeSkips extends StreamServer {
  protected override missed(lastEventId: string): Block[] {
    return super.missed(lastEventId).filter((block) => !this.#isLost(block, lastEventId))
  }

  protected override begin(request: IncomingMessage, response: ServerResponse): void {
    this.#resumed.set(response, `${request.headers['last-event-id'] ?? ''}`)
    super.begin(request, response)
  }

  readonly #resumed = new WeakMap<ServerResponse, string>()

  protected override write(response: ServerResponse, block: Block): void {
    if (!this.#isLost(block, this.#resumed.get(response) ?? '')) super.write(response, block)
  }

  #isLost(block: Block, lastEventId: string): boolean {
    return lastEventId !== '' && `${block}`.startsWith(`id: ${Number(lastEventId) + 3}\n`)
  }
}

/** Repeats the event with the id of the client. */
export class ResumeRepeats extends StreamServer {
  protected override missed(lastEventId: string): Block[] {
    const id = Number(lastEventId)
    return super.missed(id > 0 ? `${id - 1}` : lastEventId)
  }
}

export class UnknownIdIgnored extends StreamServer {
  protected override missed(lastEventId: string): Block[] {
    return this.feed.after(lastEventId) ? super.missed(lastEventId) : []
  }
}

/** Closes the connection without the end of the body. */
export class Cut extends StreamServer {
  protected override follow(response: ServerResponse): void {
    super.follow(response)
    const timer = setTimeout(() => response.destroy(), 2_500)
    response.once('close', () => clearTimeout(timer))
  }
}

/** Sends the same events to each client, and ends. */
export class Ends extends StreamServer {
  protected override begin(_request: IncomingMessage, response: ServerResponse): void {
    for (let number = 1; number <= 5; number++) this.write(response, `data: Event ${number}\n\n`)
    response.end()
  }
}
