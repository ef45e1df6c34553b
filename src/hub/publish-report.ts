import type { Publication } from '../stores/log-entry.ts'
import { type PublishEndMessage, publishEndChannel, publishStartChannel } from './diagnostics.ts'
import type { Hub } from './hub.ts'

/** Appends a publication to the store of a hub, and reports its start and its end to the diagnostics. */
export function reportedAppend(hub: Hub, publication: Publication): Promise<string> {
  const isReported = publishStartChannel.hasSubscribers || publishEndChannel.hasSubscribers
  return isReported ? report(hub, publication) : hub._store.append(publication)
}

async function report(hub: Hub, publication: Publication): Promise<string> {
  const { channel } = publication
  const message: Writable<PublishEndMessage> = {
    ...{ hub, channel, trace: undefined },
    ...{ id: undefined, duration: 0, error: undefined },
  }
  publishStartChannel.publish(message)
  const { trace } = message
  const startedAt = performance.now()
  try {
    message.id = await hub._store.append(trace ? { ...publication, trace } : publication)
    return message.id
  } catch (error) {
    message.error = error
    throw error
  } finally {
    message.duration = performance.now() - startedAt
    publishEndChannel.publish(message)
  }
}

type Writable<T> = { -readonly [Key in keyof T]: T[Key] }
