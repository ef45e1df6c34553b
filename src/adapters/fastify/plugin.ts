import type { FastifyPluginAsync, RawServerBase } from 'fastify'
import { checkOptions, withDefaults } from '../../check-options.ts'
import { SHUTDOWN_CHECKS, SHUTDOWN_DEFAULTS, type ShutdownOptions } from '../../lifecycle/graceful-close.ts'
import { StreamSet } from '../../lifecycle/stream-set.ts'
import type { SseStream } from '../../stream/stream.ts'

/**
 * Ends the streams of `sse` when Fastify closes, which would wait for them otherwise: those of the instance that it is
 * registered on, and of all within. Each client is told when to come back; what has not left within the grace is cut.
 *
 * Rejects with `SseError` `ERR_SSE_OPTION`.
 */
export const spillwayPlugin: FastifyPluginAsync<ShutdownOptions, RawServerBase> = async (
  fastify,
  options,
) => {
  checkOptions(options, SHUTDOWN_CHECKS)
  const settings = withDefaults(options, SHUTDOWN_DEFAULTS)
  const streams = new StreamSet()
  fastify.decorate(STREAMS, streams)
  // Not `onClose`: that comes when the server has no connection any more.
  fastify.addHook('preClose', () => streams.shutdown(settings))
}

// What `fastify-plugin` would set: the instance itself is meant, and not a scope within it.
Object.assign(spillwayPlugin, {
  [Symbol.for('skip-override')]: true,
  [Symbol.for('fastify.display-name')]: 'spillway',
  [Symbol.for('plugin-meta')]: { name: 'spillway', fastify: '5.x' },
})

// Of the registry: the ES module and the CommonJS build may both be loaded.
const STREAMS = Symbol.for('spillway.streams')

/** Adds a stream to the set of the plugin that is registered on an instance or around it. */
export function addStream(instance: object, stream: SseStream): void {
  const streams = (instance as { [STREAMS]?: StreamSet })[STREAMS]
  // Fastify may be set to accept requests while it closes.
  if (streams?.isShutDown) streams.refuse(stream)
  else streams?.add(stream, undefined)
}
