import type { Channel, channel as channelOf } from 'node:diagnostics_channel'

// Not an import, because edge runtimes lack the module and reject a program that names it. The edge runtime of Next has a
// `process` without `versions`, whose functions throw.
const runtime = globalThis.process?.versions?.node === undefined ? undefined : globalThis.process
const diagnostics = runtime?.getBuiltinModule?.('node:diagnostics_channel') as
  | { readonly channel: typeof channelOf }
  | undefined

function channel(name: string): Pick<Channel, 'name' | 'hasSubscribers' | 'publish'> {
  return diagnostics?.channel(name) ?? { name, hasSubscribers: false, publish() {} }
}

/*
 * The diagnostics channels, for `diagnostics_channel.subscribe(name, …)`. A message is built only if its channel has
 * subscribers. `docs/metrics.md` lists the fields of each message.
 */
export const openChannel = /* @__PURE__ */ channel('spillway:stream:open')
export const closeChannel = /* @__PURE__ */ channel('spillway:stream:close')
export const overflowChannel = /* @__PURE__ */ channel('spillway:stream:overflow')
export const drainChannel = /* @__PURE__ */ channel('spillway:stream:drain')
export const replayChannel = /* @__PURE__ */ channel('spillway:stream:replay')
export const gapChannel = /* @__PURE__ */ channel('spillway:stream:gap')
export const storeStateChannel = /* @__PURE__ */ channel('spillway:store:state')
export const storeSkipChannel = /* @__PURE__ */ channel('spillway:store:skip')
