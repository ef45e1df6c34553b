import type { JetStreamManager } from '@nats-io/jetstream'
import { type ConfiguredStream, ensureStreamWith } from '../stream-config.ts'
import { tokenOf } from '../subjects.ts'

/** The stream of all runs. */
export interface RunStreamSpec extends ConfiguredStream {
  /** How long a message is kept, in ms. */
  readonly maxAge: number
}

/** Returns the subject on which the server republishes the stored messages of a run. */
export function liveSubjectOf({ subjectPrefix }: Pick<RunStreamSpec, 'subjectPrefix'>, id: string): string {
  return `${subjectPrefix}-live.${tokenOf(id)}`
}

/** Creates the stream if there is none. Throws `SseError` `ERR_SSE_STORE` if it does not match. */
export function ensureRunStream(manager: JetStreamManager, spec: RunStreamSpec): Promise<void> {
  const { subjectPrefix } = spec
  return ensureStreamWith(manager, spec, {
    // The server republishes only stored messages. A plain subscription would also receive refused ones.
    republish: { src: `${subjectPrefix}.*`, dest: `${subjectPrefix}-live.{{wildcard(1)}}` },
    deny_purge: false,
  })
}
