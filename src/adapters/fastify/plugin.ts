import type { FastifyPluginAsync, RawServerBase } from 'fastify'
import { checkOptions, withDefaults } from '../../check-options.ts'
import {
  closeGracefully,
  SHUTDOWN_CHECKS,
  SHUTDOWN_DEFAULTS,
  type ShutdownOptions,
} from '../../lifecycle/graceful-close.ts'
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
  const streams = new OpenStreams(withDefaults(options, SHUTDOWN_DEFAULTS))
  fastify.decorate(STREAMS, streams)
  // Not `onClose`: that comes when the server has no connection any more.
  fastify.addHook('preClose', () => streams.shutdown())
}

// What `fastify-plugin` would set: the instance itself is meant, and not a scope within it.
Object.assign(spillwayPlugin, {
  [Symbol.for('skip-override')]: true,
  [Symbol.for('fastify.display-name')]: 'spillway',
  [Symbol.for('plugin-meta')]: { name: 'spillway', fastify: '5.x' },
})

// Of the registry: the ES module and the CommonJS build may both be loaded.
const STREAMS = Symbol.for('spillway.streams')

const UNTRACKED: Pick<OpenStreams, 'add'> = { add() {} }

/** The streams of the plugin that is registered on an instance or around it. */
export function streamsOf(instance: object): Pick<OpenStreams, 'add'> {
  return (instance as { [STREAMS]?: OpenStreams })[STREAMS] ?? UNTRACKED
}

class OpenStreams {
  readonly #options: typeof SHUTDOWN_DEFAULTS
  readonly #streams = new Set<SseStream>()
  #isShutDown = false

  constructor(options: typeof SHUTDOWN_DEFAULTS) {
    this.#options = options
  }

  add(stream: SseStream): void {
    this.#streams.add(stream)
    stream.once('close', () => this.#streams.delete(stream))
    // Fastify may be set to take requests while it closes.
    if (this.#isShutDown) this.#end(stream)
  }

  async shutdown(): Promise<void> {
    this.#isShutDown = true
    await Promise.all([...this.#streams].map((stream) => this.#end(stream)))
  }

  #end(stream: SseStream): Promise<void> {
    return closeGracefully(stream, this.#options)
  }
}
