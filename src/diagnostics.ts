import type { Channel, channel as channelOf } from 'node:diagnostics_channel'
import { builtinModule } from './runtime.ts'

const diagnostics = builtinModule<{ readonly channel: typeof channelOf }>('node:diagnostics_channel')

/** A channel of `node:diagnostics_channel` with the type of its messages. */
export interface DiagnosticsChannel<Message extends object> extends Pick<Channel, 'name' | 'hasSubscribers'> {
  publish(message: Message): void
}

/**
 * Returns a diagnostics channel. On a runtime without `node:diagnostics_channel`, it never has subscribers. A message
 * MUST only be built if its channel has subscribers.
 */
export function diagnosticsChannel<Message extends object>(name: string): DiagnosticsChannel<Message> {
  return diagnostics?.channel(name) ?? { name, hasSubscribers: false, publish() {} }
}
