import {
  between,
  type Check,
  checkOptions,
  isCount,
  isFunction,
  MAX_TIME,
  oneOf,
  type SettingsOf,
} from '../check-options.ts'
import { describe, SseError } from '../errors.ts'
import { isPromise } from '../event/source.ts'
import { memoryCounts } from '../stores/memory/memory-counts.ts'
import type { StreamCounts } from '../stores/stream-counts.ts'
import type { CloseTarget } from '../stream/attachments.ts'
import { checkStream } from '../stream/check-stream.ts'
import type { Refusal } from '../stream/refusal.ts'
import type { SseStream } from '../stream/stream.ts'
import type { Admission } from './admission.ts'
import { limitErrorChannel } from './diagnostics.ts'

/** At least one of `maxStreams` and `maxPerKey` is required. */
export interface StreamLimitsOptions {
  /** The most open streams, in all processes that share `counts`. Default: none. */
  maxStreams?: number | undefined
  /** The most open streams with the same key. Needs `key`. Default: none. */
  maxPerKey?: number | undefined
  /**
   * Returns the key of a stream, for example the id of its user or an address. Undefined: `maxPerKey` does not apply to
   * the stream. If it throws or returns anything else, the client is refused, and `spillway:limit:error` is published.
   */
  key?: ((stream: SseStream) => string | undefined) | undefined
  /**
   * Counts the streams: `memoryCounts()` for this process, `redisCounts(client)` or `jetstreamCounts(connection)` for
   * several. Default `memoryCounts()`.
   */
  counts?: StreamCounts | undefined
  /** Distinguishes limits that share `counts`: 1 to 32 letters, digits, `-` and `_`. Default `streams`. */
  name?: string | undefined
  /** Reconnection time of a refused client in ms. Each gets a random time from this to twice this. Default 10 000. */
  retry?: number | undefined
  /** The decision for a stream while the broker of `counts` cannot be used. Default `admit`. */
  onOutage?: 'admit' | 'refuse' | undefined
}

type Settings = SettingsOf<StreamLimitsOptions, 'maxStreams' | 'maxPerKey' | 'key' | 'counts'>

const DEFAULTS = { name: 'streams', retry: 10_000, onOutage: 'admit' } as const

const CHECKS: Record<keyof StreamLimitsOptions, Check> = {
  maxStreams: isCount,
  maxPerKey: isCount,
  key: isFunction,
  counts: checkCounts,
  name: (name) =>
    typeof name === 'string' && /^[\w-]{1,32}$/.test(name)
      ? undefined
      : 'a name of 1 to 32 letters, digits, _ and -',
  retry: between(1, MAX_TIME),
  onOutage: oneOf('admit', 'refuse'),
}

interface Limit {
  readonly key: string
  readonly max: number
}

/**
 * Limits how many streams are open, in total, and for each user or address. A new stream above a limit is refused, and
 * no open one is ended. A browser reconnects later; a POST and a request with `Prefer: handling=strict` get a 503. Held
 * long polls and subscribers of runs count too.
 */
export class StreamLimits implements Admission, CloseTarget {
  /** The close reason of a stream that is refused. */
  readonly reason = 'capacity'
  readonly #options: Settings
  readonly #counts: StreamCounts
  // The limits for which each open stream counts.
  readonly #streams = new Map<SseStream, Limit[]>()
  #hasPrinted = false

  /** Throws `SseError` `ERR_SSE_OPTION`. */
  constructor(options: StreamLimitsOptions) {
    const given = checkOptions(options, CHECKS)
    const { maxStreams, maxPerKey, key } = given
    if (!maxStreams && !maxPerKey)
      throw new SseError('ERR_SSE_OPTION', 'Set maxStreams, or maxPerKey and key.')
    if ((maxPerKey === undefined) !== (key === undefined))
      throw new SseError('ERR_SSE_OPTION', 'Options maxPerKey and key need each other.')
    this.#options = { ...DEFAULTS, ...given }
    this.#counts = options.counts ?? memoryCounts()
  }

  /** The number of open streams of this process that were admitted. */
  get size(): number {
    return this.#streams.size
  }

  /**
   * Counts a stream until it closes. Resolves with undefined, or with how its client is refused. A stream that is
   * counted already is admitted again. Rejects only with `SseError` `ERR_SSE_STREAM`, for a value that is no stream.
   */
  async admit(stream: SseStream): Promise<Refusal | undefined> {
    checkStream(stream)
    if (stream.closed || this.#streams.has(stream)) return undefined
    const held: Limit[] = []
    this.#streams.set(stream, held)
    stream._addCloseTarget(this)
    const isAdmitted = await this.#holdAll(stream, held)
    if (isAdmitted || !this.#isOpen(stream, held)) return undefined
    this.#release(stream)
    return { retry: this.#options.retry }
  }

  /** @internal */
  _streamClosed(stream: SseStream): void {
    this.#release(stream)
  }

  async #holdAll(stream: SseStream, held: Limit[]): Promise<boolean> {
    try {
      for (const limit of this.#limitsOf(stream)) {
        if (!this.#isOpen(stream, held)) return false
        if (!(await this.#hold(stream, limit, held))) return false
      }
      return true
    } catch (error) {
      this.#report(stream, error)
      return false
    }
  }

  // The stream's own key first, so that clients above their limit do not occupy the room of others meanwhile.
  #limitsOf(stream: SseStream): Limit[] {
    const { name, maxStreams, maxPerKey } = this.#options
    const key = this.#keyOf(stream)
    return [
      ...(key !== undefined && maxPerKey ? [{ key: `${name}.key.${key}`, max: maxPerKey }] : []),
      ...(maxStreams ? [{ key: `${name}.all`, max: maxStreams }] : []),
    ]
  }

  #keyOf(stream: SseStream): string | undefined {
    const key: unknown = this.#options.key?.(stream)
    if (key === undefined || (typeof key === 'string' && key !== '')) return key
    // An `async` function may also reject, which would end the process.
    if (isPromise(key)) key.then(undefined, () => {})
    throw new SseError(
      'ERR_SSE_LIMIT',
      `key must return a non-empty string or undefined, not ${describe(key)}.`,
    )
  }

  /** Counts a stream for a limit. Resolves with false if the limit is reached. */
  async #hold(stream: SseStream, limit: Limit, held: Limit[]): Promise<boolean> {
    const isCounted = await this.#acquire(stream, limit, held)
    if (!isCounted) return false
    held.push(limit)
    // The stream has closed meanwhile, and its close did not release this count.
    if (!this.#isOpen(stream, held)) this.#counts.release(limit.key)
    return true
  }

  async #acquire(stream: SseStream, { key, max }: Limit, held: Limit[]): Promise<boolean> {
    try {
      return await this.#counts.acquire(key, max)
    } catch (error) {
      if (!this.#isOpen(stream, held)) return false
      this.#report(stream, error)
      if (this.#options.onOutage === 'refuse') return false
      this.#counts.add(key)
      return true
    }
  }

  /** Whether a stream has not closed since its counting began. */
  #isOpen(stream: SseStream, held: Limit[]): boolean {
    return this.#streams.get(stream) === held
  }

  #release(stream: SseStream): void {
    const held = this.#streams.get(stream) ?? []
    this.#streams.delete(stream)
    for (const { key } of held) this.#counts.release(key)
  }

  #report(stream: SseStream, error: unknown): void {
    if (limitErrorChannel.hasSubscribers) limitErrorChannel.publish({ limits: this, stream, error })
    else if (!this.#hasPrinted) {
      this.#hasPrinted = true
      const hint = 'Spillway prints no further errors of it: subscribe to the channel spillway:limit:error.'
      console.error(`The limit ${describe(this.#options.name)} of streams has failed. ${hint}`, error)
    }
  }
}

function checkCounts(counts: unknown): string | undefined {
  const methods = ['acquire', 'add', 'release', 'close'] as const
  const isCounts = methods.every(
    (name) => typeof (Object(counts) as Partial<StreamCounts>)[name] === 'function',
  )
  return isCounts ? undefined : `counts such as memoryCounts(), with ${methods.join(', ')}`
}
