import type { Channel, channel as channelOf } from 'node:diagnostics_channel'
import { builtinModule } from './runtime.ts'

const diagnostics = builtinModule<{ readonly channel: typeof channelOf }>('node:diagnostics_channel')

/** Returns a diagnostics channel, or one without subscribers where the runtime has none. */
export function diagnosticsChannel(name: string): Pick<Channel, 'name' | 'hasSubscribers' | 'publish'> {
  return diagnostics?.channel(name) ?? { name, hasSubscribers: false, publish() {} }
}

/*
 * The diagnostics channels, for `diagnostics_channel.subscribe(name, …)`. A message is built only if its channel has
 * subscribers. `docs/metrics.md` lists the fields of each message.
 */
export const openChannel = diagnosticsChannel('spillway:stream:open')
export const closeChannel = diagnosticsChannel('spillway:stream:close')
export const overflowChannel = diagnosticsChannel('spillway:stream:overflow')
export const drainChannel = diagnosticsChannel('spillway:stream:drain')
export const replayChannel = diagnosticsChannel('spillway:stream:replay')
export const transportChannel = diagnosticsChannel('spillway:stream:transport')
export const gapChannel = diagnosticsChannel('spillway:stream:gap')
