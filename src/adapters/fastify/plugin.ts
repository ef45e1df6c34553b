import type { FastifyPluginAsync, RawServerBase } from 'fastify'
import { type ShutdownOptions, shutdownSettings } from '../../lifecycle/graceful-close.ts'
import { StreamSet } from '../../lifecycle/stream-set.ts'
import type { SseStream } from '../../stream/stream.ts'

/**
 * Closes the streams of `sse` when Fastify closes, which otherwise waits for them to end. Covers the instance on which
 * it is registered and all encapsulated ones. Each client receives a jittered reconnection time. Streams still open
 * after `grace` are destroyed.
 *
 * Rejects with `SseError` `ERR_SSE_OPTION`.
 */
export const spillwayPlugin: FastifyPluginAsync<ShutdownOptions, RawServerBase> = async (
  fastify,
  options,
) => {
  const settings = shutdownSettings(options)
  const streams = new StreamSet()
  fastify.decorate(STREAMS, streams)
  // Not the hook `onClose`, because it runs only after all connections are closed.
  fastify.addHook('preClose', () => streams.shutdown(settings))
}

// Set the properties that `fastify-plugin` would set, so that the plugin applies to the instance itself and not to a
// new scope.
Object.assign(spillwayPlugin, {
  [Symbol.for('skip-override')]: true,
  [Symbol.for('fastify.display-name')]: 'spillway',
  [Symbol.for('plugin-meta')]: { name: 'spillway', fastify: '5.x' },
})

// A registered symbol, because the ES module and the CommonJS build may both be loaded.
const STREAMS = Symbol.for('spillway.streams')

/** Adds a stream to the set of the plugin that is registered on an instance or around it. */
export function addStream(instance: object, stream: SseStream): void {
  const streams = (instance as { [STREAMS]?: StreamSet })[STREAMS]
  // With `return503OnClosing: false`, Fastify accepts requests while it closes.
  if (streams?.isShutDown) streams.refuse(stream)
  else streams?.add(stream, undefined)
}
