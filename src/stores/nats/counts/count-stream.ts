import { parsedJson } from '../../log-entry.ts'
import type { NatsClient } from '../client.ts'
import type { ConnectionMonitor } from '../connection-monitor.ts'
import { type ConfiguredStream, ensureStreamWith } from '../stream-config.ts'
import { SubjectStream } from '../subject-stream.ts'
import { tokenOf } from '../subjects.ts'

/** The counts of a key by process, as they are stored. */
export type Counts = ReadonlyMap<string, number>

export interface StoredCounts {
  readonly counts: Counts
  /** The sequence of the message, or 0 if there is none. */
  readonly sequence: number
}

// A name that this library chooses. Another one may not be a valid token of a subject.
const PROCESS = /^[\da-f]{32}$/
const NO_COUNTS: StoredCounts = { counts: new Map(), sequence: 0 }

/** The messages of all counts: one stream, in which each key has a subject with one message. */
export class CountStream {
  readonly #messages: SubjectStream
  readonly #subjectPrefix: string

  constructor(client: NatsClient, connection: ConnectionMonitor, spec: ConfiguredStream) {
    this.#subjectPrefix = spec.subjectPrefix
    this.#messages = new SubjectStream(client, connection, spec.stream, (manager) =>
      // Only the newest message of a key counts.
      ensureStreamWith(manager, spec, { max_msgs_per_subject: 1, deny_purge: false }),
    )
  }

  /** Returns the counts of a key. */
  async read(key: string): Promise<StoredCounts> {
    const stored = await this.#messages.get({ last_by_subj: this.#subjectOf(key) })
    return stored ? { counts: decode(stored.string()), sequence: stored.seq } : NO_COUNTS
  }

  /** Replaces stored counts. Returns undefined if they have changed meanwhile. */
  async replace(key: string, { sequence }: StoredCounts, counts: Counts): Promise<StoredCounts | undefined> {
    if (counts.size === 0) return (await this.#remove(key, sequence)) ? NO_COUNTS : undefined
    const payload = JSON.stringify(Object.fromEntries(counts))
    const subject = this.#subjectOf(key)
    const stored = await this.#messages.append(subject, payload, sequence, `after ${sequence}`)
    return stored === undefined ? undefined : { counts, sequence: stored }
  }

  /** Removes the message with a sequence. Returns false if it was replaced or removed meanwhile. */
  async #remove(key: string, sequence: number): Promise<boolean> {
    if (sequence === 0) return true
    return (await this.#messages.purge(this.#subjectOf(key), sequence + 1)) > 0
  }

  #subjectOf(key: string): string {
    return `${this.#subjectPrefix}.${tokenOf(key)}`
  }
}

/** Returns the counts in a message. Another program may have written it. */
function decode(text: string): Counts {
  const entries = Object.entries(Object(parsedJson(text)) as Record<string, unknown>)
  return new Map(entries.filter((entry): entry is [string, number] => isCount(...entry)))
}

function isCount(process: string, count: unknown): boolean {
  return PROCESS.test(process) && Number.isSafeInteger(count) && (count as number) > 0
}
