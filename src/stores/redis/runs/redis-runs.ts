import { between, type Check, checkOptions, MAX_TIME } from '../../../check-options.ts'
import { SseError } from '../../../errors.ts'
import { BaseRunStore } from '../../base-run-store.ts'
import { withSignal } from '../../broker/deadline.ts'
import { noteFailures } from '../../broker/note-failures.ts'
import { ReconnectWindow } from '../../broker/reconnect-window.ts'
import { lastNumberOf } from '../../run-batch.ts'
import type {
  RunBatch,
  RunOwner,
  RunPosition,
  RunRetention,
  RunState,
  RunStore,
  RunWatch,
  RunWatcher,
  StartedRun,
  StoredBatch,
} from '../../run-store.ts'
import { MAX_BACKOFF } from '../backoff.ts'
import { type Connector, checkClient, connectorOf, isName, prefixOf } from '../client.ts'
import type { ConnectionListener, RedisClient, RedisConnection } from '../connection.ts'
import { RangeConnection } from '../range-connection.ts'
import { toRecord, toText } from '../replies.ts'
import type { Script } from '../script.ts'
import type { Ask } from '../stream-reads.ts'
import { AppendQueue } from './append-queue.ts'
import { RunKeys } from './run-keys.ts'
import { encodeStop, RunPresence } from './run-presence.ts'
import { decodeEntry, decodeState, encodeEvents, LAST_SEQUENCE } from './run-record.ts'
import { FIND, IS_ALIVE, READ, REMOVE, START, STOP } from './run-scripts.ts'
import { RunWatches } from './run-watches.ts'
import { Subscriptions } from './subscriptions.ts'

/** Times are in ms. */
export interface RedisRunsOptions {
  /** The prefix of the keys of the runs, the same in all processes. Default `spillway:runs`. */
  key?: string | undefined
  /** How long a call waits for Redis. Appends and reads wait until they are no longer needed. Default 5 000. */
  commandTimeout?: number | undefined
}

const DEFAULTS = { key: 'spillway:runs', commandTimeout: 5_000 }
const CHECKS: Record<keyof RedisRunsOptions, Check> = { key: isName, commandTimeout: between(1, MAX_TIME) }

// How long `close` waits for the end of the lease, in ms. Without it, the lease expires.
const CLOSE_TIMEOUT = 1_000
// An epoch, which is the time of Redis in µs.
const EPOCH = /^[1-9]\d{0,15}$/

/**
 * Returns a store that keeps runs in Redis 6.2 or later, or Valkey, for many processes. `client` is one of the packages
 * `redis` or `ioredis`, for a single server, a cluster, or a master that sentinels name. The store opens up to three
 * connections with its settings when they are needed, and does not use `client` itself.
 *
 * Throws `SseError` `ERR_SSE_OPTION`.
 */
export function redisRuns(client: RedisClient, options: RedisRunsOptions = {}): RunStore {
  checkClient(client)
  const { key, commandTimeout } = { ...DEFAULTS, ...checkOptions(options, CHECKS) }
  return new RedisRuns(client, new RunKeys(prefixOf(client), key), commandTimeout)
}

class RedisRuns extends BaseRunStore implements RunStore {
  readonly isShared = true
  readonly #keys: RunKeys
  readonly #commandTimeout: number
  readonly #connector: Connector
  // Commands have short replies, but the replies to reads may be large, so that reads have a connection of their own.
  readonly #commands: RangeConnection
  readonly #reads: RangeConnection
  readonly #subscriptions: Subscriptions
  readonly #appends: AppendQueue
  readonly #watches: RunWatches
  readonly #window = new ReconnectWindow()
  #presence: RunPresence | undefined

  constructor(client: RedisClient, keys: RunKeys, commandTimeout: number) {
    super()
    this.#keys = keys
    this.#commandTimeout = commandTimeout
    this.#connector = connectorOf(client, keys.base, commandTimeout)
    const open = this.#connector.open.bind(this.#connector)
    this.#commands = new RangeConnection((listener) => this.#openCommands(listener), commandTimeout)
    this.#reads = new RangeConnection(open, commandTimeout)
    this.#subscriptions = new Subscriptions(open, commandTimeout)
    this.#appends = new AppendQueue(this.#commands, keys.absent)
    this.#watches = new RunWatches(this.#subscriptions)
  }

  async start(id: string, owner: string, maxAge: number): Promise<StartedRun> {
    const token = crypto.randomUUID()
    const reply = await this.#run(START, this.#keys.run(id), owner, String(Math.ceil(maxAge)), token)
    const state = decodeState(reply)
    if (!state) throw foreignError(this.#keys.run(id))
    return { ...state, isNew: toText((reply as unknown[])[4]) === '1' }
  }

  append(
    id: string,
    epoch: string,
    batch: RunBatch,
    retention: RunRetention,
    signal: AbortSignal,
  ): Promise<boolean> {
    if (!EPOCH.test(epoch)) return Promise.resolve(false)
    return this.#appends.append(this.#keys.run(id), argsOf(epoch, batch, retention), signal)
  }

  async find(id: string): Promise<RunState | undefined> {
    const reply = await this.#run(FIND, this.#keys.run(id))
    return reply === null ? undefined : decodeState(reply)
  }

  async read(
    id: string,
    epoch: string,
    { number }: RunPosition,
    bytes: number,
    signal: AbortSignal,
  ): Promise<readonly StoredBatch[] | undefined> {
    if (!EPOCH.test(epoch)) return undefined
    const after = Number.isSafeInteger(number) && number > 0 ? number : 0
    const range = [`${epoch}-${after}`, `${epoch}-${LAST_SEQUENCE}`, `${epoch}-0`, String(bytes)]
    const keys = [this.#keys.run(id), this.#keys.absent]
    const reply = await this.#reads.read(signal, (ask) => READ.runOn(ask, keys, range))
    if (reply === null) return undefined
    return batchesOf(reply as unknown[], after)
  }

  watch(id: string, epoch: string, watcher: RunWatcher): RunWatch {
    return this.#watches.watch(this.#keys.run(id), epoch, watcher)
  }

  async isWatched(id: string): Promise<boolean> {
    // All processes subscribe at the server that has the keys.
    const reply = await this.#call((ask) => ask('PUBSUB', 'NUMSUB', this.#keys.run(id)))
    return this.#window.confirm(Object.values(toRecord(reply)).some((count) => Number(count) > 0))
  }

  async remove(id: string): Promise<boolean> {
    return toText(await this.#run(REMOVE, this.#keys.run(id))) === '1'
  }

  override serve(owner: RunOwner, lease: number): void {
    super.serve(owner, lease)
    this.#presence = new RunPresence(this.#keys, owner, lease, this.#subscriptions)
  }

  async renew(): Promise<void> {
    const timeout = this.#commandTimeout
    await this.#call(async (ask) => this.#presence?.renew(ask, timeout))
  }

  async isAlive(owner: string): Promise<boolean> {
    return this.#window.confirm(toText(await this.#run(IS_ALIVE, this.#keys.owner(owner))) === '1')
  }

  async requestStop(owner: string, id: string, epoch: string): Promise<void> {
    await this.#call(async (ask) => {
      const keys = [this.#keys.owner(owner), this.#keys.absent]
      const reply = await STOP.runOn(ask, keys, [encodeStop(id, epoch)])
      // The error causes a retry.
      if (toText(reply) === '0') throw new Error('The owner has not received the request.')
    })
  }

  async close(): Promise<void> {
    await this.#call(async (ask) => this.#presence?.end(ask), CLOSE_TIMEOUT).catch(() => {})
    this.#presence?.close()
    this.#commands.close()
    this.#reads.close()
    this.#subscriptions.close()
    this.#connector.close()
  }

  #run(script: Script, key: string, ...args: readonly string[]): Promise<unknown> {
    return this.#call((ask) => script.runOn(ask, [key, this.#keys.absent], args))
  }

  /** Does the work with retries. Rejects with `SseError` after a time in ms, whose cause is the last failure. */
  #call<T>(work: (ask: Ask) => Promise<T>, timeout = this.#commandTimeout): Promise<T> {
    const { noted, failure } = noteFailures(work)
    const cause = () => failure() ?? this.#commands.failure
    return withSignal(timeout, (signal) => this.#commands.read(signal, noted), cause)
  }

  // Reconnects the subscriptions after a loss, because the server may have changed, and the previous one may publish no
  // messages.
  #openCommands(listener: ConnectionListener): RedisConnection {
    let wasLost = false
    const onLost = () => {
      wasLost = true
      this.#subscriptions.reconnect()
      listener.onLost()
    }
    const onReady = () => {
      if (wasLost) this.#window.open(MAX_BACKOFF)
      listener.onReady()
    }
    return this.#connector.open({ ...listener, onLost, onReady })
  }
}

/** Returns the batches that have events after a number, up to the first gap between them. */
function batchesOf(entries: readonly unknown[], after: number): StoredBatch[] {
  const batches: StoredBatch[] = []
  for (const batch of entries.map(decodeEntry)) {
    // The last batch has the largest sequence number, so Redis returns it even if the client has received its events.
    if (!batch || lastNumberOf(batch) <= after) continue
    const before = batches.at(-1)
    if (before && batch.first !== lastNumberOf(before) + 1) break
    batches.push(batch)
  }
  return batches
}

function foreignError(key: string): SseError {
  const message = `The newest entry of the key ${JSON.stringify(key)} is not a batch of a run.`
  return new SseError('ERR_SSE_STORE', message)
}

function argsOf(epoch: string, batch: RunBatch, { evictBefore, keep }: RunRetention): string[] {
  const [first, last] = [batch.first, lastNumberOf(batch)]
  const oldest = Math.min(evictBefore, first)
  return [
    `${epoch}-${first - 1}`,
    `${epoch}-${batch.end ? LAST_SEQUENCE : last}`,
    oldest > 1 ? `${epoch}-${oldest}` : '',
    batch.end ? `${batch.end} ${last} ${keep === undefined ? '' : Math.ceil(keep)}` : '',
    encodeEvents(batch.events),
  ]
}
