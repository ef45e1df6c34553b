import type { JetStreamManager, StreamConfig, StreamInfo } from '@nats-io/jetstream'
import { SseError } from '../../errors.ts'

/** What is wanted of a stream. What is undefined is left to a stream that is there. Times are milliseconds. */
export interface StreamWishes {
  readonly maxEvents?: number | undefined
  readonly maxBytes?: number | undefined
  readonly maxAge?: number | undefined
  readonly duplicateWindow?: number | undefined
  readonly replicas?: number | undefined
  readonly storage?: 'file' | 'memory' | undefined
}

/** One stream of one hub. */
export interface StreamPlan {
  readonly stream: string
  readonly subjectPrefix: string
  readonly publishTimeout: number
  /** What the user asked for. */
  readonly wishes: StreamWishes
  /** What a stream is created with. */
  readonly settings: StreamWishes
}

/** A stream as it is now. */
export interface StreamState {
  readonly creation: string
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

/** The stream as it is: created when there is none. Throws `SseError` `ERR_SSE_LOG` for one that does not fit. */
export async function ensureStream(manager: JetStreamManager, plan: StreamPlan): Promise<StreamState> {
  const info = await findOrCreate(manager, plan)
  const misfits = misfitsOf(info.config, plan)
  if (misfits.length === 0) return stateOf(info)
  throw new SseError('ERR_SSE_LOG', `The stream "${plan.stream}" does not fit: ${misfits.join('; ')}.`)
}

/** Undefined: there is no such stream. */
export async function lookUp(
  manager: JetStreamManager,
  { stream }: StreamPlan,
): Promise<StreamState | undefined> {
  const info = await infoOf(manager, stream)
  return info && stateOf(info)
}

async function findOrCreate(manager: JetStreamManager, plan: StreamPlan): Promise<StreamInfo> {
  const found = await infoOf(manager, plan.stream)
  if (found) return found
  try {
    const { subjectPrefix, settings } = plan
    return await manager.streams.add({
      name: plan.stream,
      ...(requiredOf(subjectPrefix) as Partial<StreamConfig>),
      ...(wishedOf(settings) as Partial<StreamConfig>),
    })
  } catch (error) {
    // Another process was faster, with wishes of its own.
    if ((error as { code?: unknown }).code !== NAME_IN_USE) throw error
    return manager.streams.info(plan.stream)
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
  const creation = Date.parse(created).toString(36)
  return { creation, first, last, isReplicated: config.num_replicas > 1 }
}

/** Only what leaves the log dense, acknowledged and open at its old end is a log. */
function requiredOf(prefix: string): Record<string, unknown> {
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

function wishedOf(wishes: StreamWishes): Record<string, unknown> {
  const { maxEvents, maxBytes, maxAge, duplicateWindow, replicas, storage } = wishes
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

function misfitsOf(config: StreamConfig, plan: StreamPlan): string[] {
  const demands = { ...requiredOf(plan.subjectPrefix), ...wishedOf(plan.wishes) }
  const misfits = Object.entries(demands).flatMap(([name, wanted]) => {
    // What a server does not name is off.
    const found = config[name as keyof StreamConfig] ?? (wanted === false ? false : undefined)
    const [is, should] = [JSON.stringify(found), JSON.stringify(wanted)]
    return is === should ? [] : [`${name} is ${is}, and not ${should}`]
  })
  const isForgetful = config.duplicate_window < nanos(plan.publishTimeout)
  return isForgetful ? [...misfits, 'duplicate_window is shorter than publishTimeout'] : misfits
}
