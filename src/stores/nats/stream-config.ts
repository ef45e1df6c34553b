import type { JetStreamManager, StreamConfig, StreamInfo } from '@nats-io/jetstream'
import { SseError } from '../../errors.ts'
import type { JetStreamStoreOptions } from './jetstream-store.ts'

/** A configuration of a stream. An undefined field may have any value in an existing stream. Times are in ms. */
export type RequestedConfig = Pick<
  JetStreamStoreOptions,
  'maxEvents' | 'maxBytes' | 'maxAge' | 'idempotencyWindow' | 'replicas' | 'storage'
>

/** A stream and its configuration. */
export interface ConfiguredStream {
  readonly stream: string
  readonly subjectPrefix: string
  /** The options given by the user, which an existing stream must match. */
  readonly requested: RequestedConfig
  /** The options with defaults, for a new stream. */
  readonly settings: RequestedConfig
}

/** The stream of a hub. */
export interface StreamSpec extends ConfiguredStream {
  readonly publishTimeout: number
}

/** The current state of a stream. */
export interface StreamState {
  readonly epoch: string
  /** The sequences of the oldest and the newest message, from 1. If there is none, `first` is after `last`. */
  readonly first: number
  readonly last: number
  /** The size of the messages, with their headers. */
  readonly bytes: number
  /** Whether several servers keep the stream. */
  readonly isReplicated: boolean
}

const NOT_FOUND = 10059
const NAME_IN_USE = 10058
const SUBJECTS_OVERLAP = 10065

// Converts a time to the unit of the server.
const nanos = (milliseconds: number) => milliseconds * 1_000_000

/** Returns the stream, created if there is none. Throws `SseError` `ERR_SSE_STORE` if it does not match. */
export async function ensureStream(manager: JetStreamManager, spec: StreamSpec): Promise<StreamState> {
  const { info, found } = await findAndCompare(manager, spec, requiredConfig(spec.subjectPrefix))
  const isShort = info.config.duplicate_window < nanos(spec.publishTimeout)
  if (isShort) found.push('duplicate_window is shorter than publishTimeout')
  throwIfFound(spec, found)
  return stateOf(info)
}

/**
 * Creates a stream if there is none. `own` extends the configuration that every stream of a store requires. Throws
 * `SseError` `ERR_SSE_STORE` if it does not match.
 */
export async function ensureStreamWith(
  manager: JetStreamManager,
  spec: ConfiguredStream,
  own: Readonly<Record<string, unknown>>,
): Promise<void> {
  const required = { ...requiredConfig(spec.subjectPrefix), ...own }
  throwIfFound(spec, (await findAndCompare(manager, spec, required)).found)
}

/** Returns a stream, created if there is none, and its differences from the required and requested configuration. */
async function findAndCompare(
  manager: JetStreamManager,
  { stream, settings, requested }: ConfiguredStream,
  required: Readonly<Record<string, unknown>>,
): Promise<{ info: StreamInfo; found: string[] }> {
  const info = await findOrCreate(manager, stream, { ...required, ...requestedConfig(settings) })
  return { info, found: mismatches(info.config, { ...required, ...requestedConfig(requested) }) }
}

function throwIfFound({ stream }: ConfiguredStream, found: readonly string[]): void {
  if (found.length === 0) return
  throw new SseError('ERR_SSE_STORE', `The stream "${stream}" does not match: ${found.join('; ')}.`)
}

/** Returns the stream, or undefined if there is none. */
export async function lookUp(
  manager: JetStreamManager,
  { stream }: StreamSpec,
): Promise<StreamState | undefined> {
  const info = await infoOf(manager, stream)
  return info && stateOf(info)
}

/** Returns a stream, created with a configuration if there is none. */
async function findOrCreate(
  manager: JetStreamManager,
  stream: string,
  config: Readonly<Record<string, unknown>>,
): Promise<StreamInfo> {
  const found = await infoOf(manager, stream)
  if (found) return found
  try {
    return await manager.streams.add({ name: stream, ...(config as Partial<StreamConfig>) })
  } catch (error) {
    // Another process has created the stream meanwhile, maybe with other options. Its subjects are then in use too.
    const { code } = error as { code?: unknown }
    const created =
      code === NAME_IN_USE || code === SUBJECTS_OVERLAP ? await infoOf(manager, stream) : undefined
    if (!created) throw error
    return created
  }
}

async function infoOf(manager: JetStreamManager, stream: string): Promise<StreamInfo | undefined> {
  try {
    return await manager.streams.info(stream)
  } catch (error) {
    if ((error as { code?: unknown }).code === NOT_FOUND) return undefined
    throw error
  }
}

function stateOf({ created, state, config }: StreamInfo): StreamState {
  const { first_seq, last_seq: last, bytes } = state
  const epoch = Date.parse(created).toString(36)
  // A stream that never held a message has 0 as its first sequence.
  return { epoch, first: Math.max(first_seq, 1), last, bytes, isReplicated: config.num_replicas > 1 }
}

/**
 * Returns the configuration that makes a stream a log: dense sequences, acknowledged messages, and eviction of the
 * oldest.
 */
function requiredConfig(prefix: string): Record<string, unknown> {
  return {
    subjects: [`${prefix}.*`],
    retention: 'limits',
    discard: 'old',
    max_msgs_per_subject: -1,
    // Each process has a consumer, and so has each page being read.
    max_consumers: -1,
    no_ack: false,
    sealed: false,
  }
}

function requestedConfig(requested: RequestedConfig): Record<string, unknown> {
  const { maxEvents, maxBytes, maxAge, idempotencyWindow: duplicateWindow, replicas, storage } = requested
  const config = {
    max_msgs: maxEvents,
    max_bytes: maxBytes,
    max_age: maxAge && nanos(maxAge),
    duplicate_window: duplicateWindow && nanos(duplicateWindow),
    num_replicas: replicas,
    storage,
  }
  return Object.fromEntries(Object.entries(config).filter(([, value]) => value !== undefined))
}

/** Returns the differences of a configuration from the required one. */
function mismatches(config: StreamConfig, required: Readonly<Record<string, unknown>>): string[] {
  return Object.entries(required).flatMap(([name, wanted]) => {
    // The server leaves out a flag that is off.
    const value = config[name as keyof StreamConfig] ?? (wanted === false ? false : undefined)
    const [is, should] = [JSON.stringify(value), JSON.stringify(wanted)]
    return is === should ? [] : [`${name} is ${is}, not ${should}`]
  })
}
