import type { gzip } from 'node:zlib'
import { type PageLimits, PollPage } from '../formats/poll-page.ts'
import { builtinModule } from '../runtime.ts'
import { jitter } from '../scheduler/jitter.ts'
import { TurnCache } from '../scheduler/turn-cache.ts'
import type { PollCache } from '../stream/attachments.ts'
import { MAX_PAGE_BYTES } from '../stream/poll-end.ts'
import type { SseStream } from '../stream/stream.ts'
import { chooseEncoding } from './accept-encoding.ts'
import type { Settings } from './options.ts'

type Zlib = { readonly gzip: typeof gzip }

const zlib = builtinModule<Zlib>('node:zlib')

// Compression does not make a shorter body smaller.
const MIN_COMPRESSED_BYTES = 1024

const pages = new TurnCache<unknown, PollPage>()

// The compressed bodies, by the plain body that polls of one page share.
const compressions = new WeakMap<Buffer, Promise<Buffer>>()

/** The properties of a long poll's request that affect its response. */
export interface PollRequest {
  readonly method: string | undefined
  /** Whether it has the header `Authorization`, so that the response may depend on the user. */
  readonly isAuthorized: boolean
  readonly acceptEncoding: string | null | undefined
  readonly ifNoneMatch: string | null | undefined
  /** The cursor in the URL, by which a cache distinguishes requests. None if it is in a header. */
  readonly cursor: string | null | undefined
}

/** The response to a long poll. */
export interface PollAnswer {
  readonly status: number
  /** Headers beside those of the route. */
  readonly headers: Readonly<Record<string, string>>
  readonly body: Buffer | undefined
}

/** The headers that the application has set for the response to a long poll. */
export interface OwnHeaders {
  readonly hasEncoding: boolean
  /** Whether the response has a cookie, or its own `Cache-Control`. */
  readonly isPrivate: boolean
}

/** One long poll, from its request to its response. */
export class LongPoll implements PollCache {
  isPublic: boolean | undefined
  isShutDown = false
  readonly #request: PollRequest
  readonly #settings: Settings

  constructor(request: PollRequest, settings: Settings) {
    this.#request = request
    this.#settings = settings
  }

  /** Returns the response with what the stream has collected. Never rejects. */
  async answer(stream: SseStream, lines: readonly Buffer[], own: OwnHeaders): Promise<PollAnswer> {
    const isCacheable = !own.isPrivate && this.#isCacheable(stream)
    const page = pageOf(lines, isCacheable ? this.#limits : undefined)
    const lastEventId = page.lastEventId ?? stream.lastEventId
    const headers = isCacheable && !page.isEmpty ? this.#cacheHeaders(page) : {}
    if (headers.ETag && matches(this.#request.ifNoneMatch, headers.ETag))
      return { status: 304, headers: { ...headers, Vary: 'Accept-Encoding' }, body: undefined }
    const body = page.body(lastEventId, this.#retry(stream, page, lastEventId))
    const answer = { status: this.#settings.status, headers, body }
    return own.hasEncoding ? answer : compressed(answer, this.#request.acceptEncoding)
  }

  get #limits() {
    return { events: this.#settings.poll?.pageSize ?? 0, bytes: MAX_PAGE_BYTES }
  }

  // A response that depends on a header, or that the application has ended, is not the same for all clients.
  #isCacheable(stream: SseStream): boolean {
    const { method, isAuthorized, cursor } = this.#request
    const { varies, status } = this.#settings
    const isPlain = method === 'GET' && !isAuthorized && !varies && status === 200
    const isNamed = cursor === stream.lastEventId
    // If the stream has a replay of its own, the hub does not resume it.
    const isResumed = typeof stream._resumePoint === 'object'
    return isPlain && isNamed && isResumed && this.isPublic === true && stream.closeReason === 'poll'
  }

  // A full page between two positions never changes. The last page grows, so a cache keeps it for a second.
  #cacheHeaders({ isFull, lastEventId }: PollPage): Record<string, string> {
    if (!isFull) return { 'Cache-Control': 'public, max-age=1' }
    const tag = JSON.stringify(`${this.#request.cursor} ${lastEventId}`)
    return {
      'Cache-Control': 'public, max-age=31536000, immutable',
      // The tag is weak, because the compressed response has it too. RFC 9110 8.8.3 allows neither spaces nor quotes.
      ETag: `W/"${encodeURIComponent(tag.slice(1, -1))}"`,
    }
  }

  // After another close reason than `poll`, the client gets a delay, because it would otherwise poll again and again.
  #retry(stream: SseStream, { retry }: PollPage, lastEventId: string | undefined): number {
    if (stream.closeReason !== 'poll') return retry ?? jitter(this.#settings.retry)
    const isNext = lastEventId !== undefined || this.#settings.poll?.hold !== 0
    return isNext ? 0 : jitter(this.#settings.retry)
  }
}

function pageOf(lines: readonly Buffer[], limits: PageLimits | undefined): PollPage {
  const parts = [limits?.events, limits?.bytes, ...lines]
  return pages.get(parts, () => new PollPage(Buffer.concat(lines), limits))
}

// RFC 9110 13.1.2: a list of tags, or `*`. Weak tags are compared without their prefix.
function matches(ifNoneMatch: string | null | undefined, tag: string): boolean {
  const tags = (ifNoneMatch ?? '').split(',').map((each) => each.trim().replace(/^W\//, ''))
  return tags.includes('*') || tags.includes(tag.replace(/^W\//, ''))
}

async function compressed(
  answer: PollAnswer,
  acceptEncoding: string | null | undefined,
): Promise<PollAnswer> {
  const { body, headers } = answer
  if (!zlib || !body || body.length < MIN_COMPRESSED_BYTES) return answer
  const Vary = 'Accept-Encoding'
  if (!chooseEncoding(acceptEncoding, ['gzip'])) return { ...answer, headers: { ...headers, Vary } }
  const gzipped = compressions.get(body) ?? compress(zlib, body)
  compressions.set(body, gzipped)
  return { ...answer, headers: { ...headers, Vary, 'Content-Encoding': 'gzip' }, body: await gzipped }
}

function compress({ gzip }: Zlib, body: Buffer): Promise<Buffer> {
  return new Promise((resolve) => gzip(body, (_, result) => resolve(result)))
}
