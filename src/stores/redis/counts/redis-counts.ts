import { between, type Check, checkOptions, MAX_TIME } from '../../../check-options.ts'
import type { CountsDriver, CountUpdate } from '../../broker/counts-driver.ts'
import { withSignal } from '../../broker/deadline.ts'
import { rejectedError } from '../../broker/errors.ts'
import { SharedCounts } from '../../broker/shared-counts.ts'
import type { StreamCounts } from '../../stream-counts.ts'
import { type Connector, checkClient, connectorOf, isName, prefixOf } from '../client.ts'
import type { ConnectionListener, RedisClient, RedisConnection } from '../connection.ts'
import { RangeConnection } from '../range-connection.ts'
import { toText } from '../replies.ts'
import { taggedKey } from '../tagged-key.ts'
import { END, UPDATE } from './count-script.ts'

/** Times are in ms. */
export interface RedisCountsOptions {
  /** The prefix of the keys of the counts, the same in all processes. Default `spillway:counts`. */
  key?: string | undefined
  /**
   * How long the streams of a dead process remain counted. A process renews its streams with one command every third of
   * this time. At least 1 000. Default 15 000.
   */
  lease?: number | undefined
  /** How long a new stream waits for Redis. Default 1 000. */
  commandTimeout?: number | undefined
}

const DEFAULTS = { key: 'spillway:counts', lease: 15_000, commandTimeout: 1_000 }
const CHECKS: Record<keyof RedisCountsOptions, Check> = {
  key: isName,
  lease: between(1_000, 86_400_000),
  commandTimeout: between(1, MAX_TIME),
}

// How long a count is kept after its last update, in ms. At least four leases.
const KEEP = 3_600_000
// How long `close` waits for the end of the lease, in ms. Without it, the lease expires.
const CLOSE_TIMEOUT = 1_000

/**
 * Returns counts in Redis 6.2 or later, or Valkey, that many processes share. `client` is one of the packages `redis`
 * or `ioredis`, for a single server, a cluster, or a master that sentinels name. The counts open a connection with its
 * settings when it is needed, and do not use `client` itself.
 *
 * Throws `SseError` `ERR_SSE_OPTION`.
 */
export function redisCounts(client: RedisClient, options: RedisCountsOptions = {}): StreamCounts {
  checkClient(client)
  const { key, lease, commandTimeout } = { ...DEFAULTS, ...checkOptions(options, CHECKS) }
  const driver = new RedisCounts(client, taggedKey(prefixOf(client), key), lease, commandTimeout)
  return new SharedCounts(driver, { lease, timeout: commandTimeout })
}

class RedisCounts implements CountsDriver {
  readonly keep: number
  readonly #process = crypto.randomUUID()
  readonly #base: string
  readonly #lease: number
  readonly #connector: Connector
  readonly #connection: RangeConnection
  #onForgotten = () => {}
  #isUsed = false

  constructor(client: RedisClient, base: string, lease: number, timeout: number) {
    this.keep = Math.max(KEEP, 4 * lease)
    this.#base = base
    this.#lease = lease
    this.#connector = connectorOf(client, base, timeout)
    this.#connection = new RangeConnection((listener) => this.#open(listener), timeout)
  }

  get failure(): unknown {
    return this.#connection.failure
  }

  open(onForgotten: () => void): void {
    this.#onForgotten = onForgotten
  }

  async update(updates: readonly CountUpdate[], signal: AbortSignal): Promise<ReadonlyArray<number | Error>> {
    const keys = [this.#processes, ...updates.map(({ key }) => `${this.#base}:count:${key}`)]
    const args = [
      ...[this.#process, this.#lease, this.keep],
      ...updates.flatMap(({ held, wanted, max }) => [held, wanted, max]),
    ]
    this.#isUsed = true
    const reply = await this.#connection.read(signal, (ask) => UPDATE.runOn(ask, keys, args.map(String)))
    const [wasAlive, ...results] = (reply as unknown[]).map(toText)
    if (wasAlive === '0') this.#onForgotten()
    return results.map(resultOf)
  }

  async close(): Promise<void> {
    const end = (signal: AbortSignal) =>
      this.#connection.read(signal, (ask) => END.run(ask, this.#processes, this.#process))
    if (this.#isUsed) await withSignal(CLOSE_TIMEOUT, end).catch(() => {})
    this.#connection.close()
    this.#connector.close()
  }

  get #processes(): string {
    return `${this.#base}:processes`
  }

  // Reports each loss of the connection, because the server may have been restarted or replaced, and may lack the
  // newest counts.
  #open(listener: ConnectionListener): RedisConnection {
    const onLost = () => {
      this.#onForgotten()
      listener.onLost()
    }
    return this.#connector.open({ ...listener, onLost })
  }
}

/** Returns the count or the error of a key. */
function resultOf(text: string): number | Error {
  return /^\d+$/.test(text) ? Number(text) : rejectedError(new Error(text))
}
