import { diagnosticsChannel } from '../diagnostics.ts'

// Apart from the channels of streams, so that an application without a hub does not load them.
export const storeStateChannel = diagnosticsChannel('spillway:store:state')
export const storeSkipChannel = diagnosticsChannel('spillway:store:skip')
export const filterErrorChannel = diagnosticsChannel('spillway:filter:error')
export const publishErrorChannel = diagnosticsChannel('spillway:publish:error')
