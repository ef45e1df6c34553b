import { describe, SseError } from '../errors.ts'
import { checkSynchronous } from '../event/synchronous.ts'
import { freeze } from '../stores/freeze.ts'
import type { EntryOwner, LogEntry } from '../stores/log-entry.ts'
import type { ErrorReporter } from './error-reporter.ts'

/** Returns the data of a serialized text, for filters. The complement of `Serialize`. */
export type Deserialize = (text: string) => unknown

/** Returns the owner of the entries of a hub. */
export function entryOwnerOf(deserialize: Deserialize | undefined, errors: ErrorReporter): EntryOwner {
  return {
    // Random, because two copies of the package may be loaded, whose counters would be the same.
    scope: crypto.randomUUID().slice(-12),
    deserialize: deserialize && ((text, entry) => deserialized(text, entry, deserialize, errors)),
  }
}

/** Deserializes the data of an entry, which calls this once. Reports an error and throws it. */
function deserialized(
  text: string,
  entry: LogEntry,
  deserialize: Deserialize,
  errors: ErrorReporter,
): unknown {
  try {
    const data = deserialize(text)
    checkSynchronous(data, 'ERR_SSE_DATA', 'deserialize', 'the data')
    // Frozen here, because a getter that throws is an error to be reported too.
    return freeze(data)
  } catch (cause) {
    const reason = (cause as Error | undefined)?.message ?? describe(cause)
    const error = new SseError('ERR_SSE_DATA', `data could not be deserialized: ${reason}`, { cause })
    errors.filterFailed(error, entry)
    throw error
  }
}
