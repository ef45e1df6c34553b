import type { FeedEvent } from './feed.ts'
import { type Block, StreamServer } from './stream-server.ts'

/** Faults of the fields in the body. */

/** A server whose events have another form. */
export function withBlocks(block: (event: FeedEvent) => Block): new () => StreamServer {
  return class extends StreamServer {
    protected override block(event: FeedEvent): Block {
      return block(event)
    }
  }
}

/** A server whose responses begin with other bytes. */
export function withBeginning(beginning: Block): new () => StreamServer {
  return class extends StreamServer {
    protected override beginning(): Block {
      return beginning
    }
  }
}

export const NulInId = withBlocks(({ id, data }) => `id: ${id}\nid: a\0b\ndata: ${data}\n\n`)

export const UnknownField = withBlocks(({ id, data }) => `id: ${id}\nData: ${data}\ndata: ${data}\n\n`)

export const CarriageReturns = withBlocks(({ id, data }) => `id: ${id}\rdata: ${data}\r\r`)

export const Latin1 = withBlocks(({ id }) => Buffer.from(`id: ${id}\ndata: caf\u00e9\n\n`, 'latin1'))

/** Ends each event with one line feed, so that none is ever dispatched. */
export class SingleLineFeeds extends StreamServer {
  protected override block({ data }: FeedEvent): Block {
    return `data: ${data}\n`
  }
}

/** Writes the serialized value without the name of the field. */
export class NoFields extends StreamServer {
  protected override block({ data }: FeedEvent): Block {
    return `${data}\n\n`
  }
}
