import type { JetStreamManager, StreamConfig, StreamInfo } from '@nats-io/jetstream'
import { SseError } from '../../errors.ts'

/** What is wanted of a stream. What is undefined is left to a stream that is there. Times are milliseconds. */
export interface RequestedConfig {
  readonly maxEvents?: number | undefined
  readonly maxBytes?: number | undefined
  readonly maxAge?: number | undefined
  readonly idempotencyWindow?: number | undefined
  readonly replicas?: number | undefined
  readonly storage?: 'file' | 'memory' | undefined
}

/** One stream of one hub. */
export interface StreamSpec {
  readonly stream: string
  readonly subjectPrefix: string
  readonly publishTimeout: number
  /** What the user asked for. */
  readonly requested: RequestedConfig
  /** What a stream is created with. */
  readonly settings: RequestedConfig
}

/** A stream as it is now. */
export interface StreamState {
  readonly epoch: string
  /** The sequences of the oldest and of the newest message: of an empty one, the oldest comes after the newest. */
  readonly first: number
  readonly last: number
  /** Whether more than one server keeps it. */
  readonly isReplicated: boolean
}

const NOT_FOUND = 10059
const NAME_IN_USE = 10058

// The server counts in nanoseconds.
const nanos = (milliseconds: number) => milliseconds * 1_000_000

/** The stream as it is: created when there is none. Throws `SseError` `ERR_SSE_STORE` for one that does not fit. */
export async function ensureStream(manager: JetStreamManager, spec: StreamSpec): Promise<StreamState> {
  const info = await findOrCreate(manager, spec)
  const misfits = mismatches(info.config, spec)
  if (misfits.length === 0) return stateOf(info)
  throw new SseError('ERR_SSE_STORE', `The stream "${spec.stream}" does not fit: ${misfits.join('; ')}.`)
}

/** Undefined: there is no such stream. */
export async function lookUp(
  manager: JetStreamManager,
  { stream }: StreamSpec,
): Promise<StreamState | undefined> {
  const info = await infoOf(manager, stream)
  return info && stateOf(info)
}

async function findOrCreate(manager: JetStreamManager, spec: StreamSpec): Promise<StreamInfo> {
  const found = await infoOf(manager, spec.stream)
  if (found) return found
  try {
    const { subjectPrefix, settings } = spec
    return await manager.streams.add({
      name: spec.stream,
      ...(requiredConfig(subjectPrefix) as Partial<StreamConfig>),
      ...(requestedConfig(settings) as Partial<StreamConfig>),
    })
  } catch (error) {
    // Another process was faster, with wishes of its own.
    if ((error as { code?: unknown }).code !== NAME_IN_USE) throw error
    return manager.streams.info(spec.stream)
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
  const { first_seq: first, last_seq: last } = state
  const epoch = Date.parse(created).toString(36)
  return { epoch: epoch, first, last, isReplicated: config.num_replicas > 1 }
}

/** Only what leaves the log dense, acknowledged and open at its old end is a log. */
function requiredConfig(prefix: string): Record<string, unknown> {
  return {
    subjects: [`${prefix}.*`],
    retention: 'limits',
    discard: 'old',
    max_msgs_per_subject: -1,
    // One for each process, and one for each page that is read.
    max_consumers: -1,
    no_ack: false,
    sealed: false,
  }
}

function requestedConfig(requested: RequestedConfig): Record<string, unknown> {
  const { maxEvents, maxBytes, maxAge, idempotencyWindow: duplicateWindow, replicas, storage } = requested
  const wished = {
    max_msgs: maxEvents,
    max_bytes: maxBytes,
    max_age: maxAge && nanos(maxAge),
    duplicate_window: duplicateWindow && nanos(duplicateWindow),
    num_replicas: replicas,
    storage,
  }
  return Object.fromEntries(Object.entries(wished).filter(([, value]) => value !== undefined))
}

function mismatches(config: StreamConfig, spec: StreamSpec): string[] {
  const demands = { ...requiredConfig(spec.subjectPrefix), ...requestedConfig(spec.requested) }
  const misfits = Object.entries(demands).flatMap(([name, wanted]) => {
    // What a server does not name is off.
    const found = config[name as keyof StreamConfig] ?? (wanted === false ? false : undefined)
    const [is, should] = [JSON.stringify(found), JSON.stringify(wanted)]
    return is === should ? [] : [`${name} is ${is}, and not ${should}`]
  })
  const isForgetful = config.duplicate_window < nanos(spec.publishTimeout)
  return isForgetful ? [...misfits, 'duplicate_window is shorter than publishTimeout'] : misfits
}
