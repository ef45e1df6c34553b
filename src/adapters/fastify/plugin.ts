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
 * Closes the streams of `sse` when Fastify closes, which otherwise waits for them to end. Covers the instance on which it is
 * registered and all encapsulated ones. Each client gets a jittered reconnection time. Streams still open after `grace` are
 * destroyed.
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
  // Not `onClose`, which runs only after all connections are closed.
  fastify.addHook('preClose', () => streams.shutdown())
}

// Set what `fastify-plugin` would set, so that the plugin applies to the instance itself and not to a new scope.
Object.assign(spillwayPlugin, {
  [Symbol.for('skip-override')]: true,
  [Symbol.for('fastify.display-name')]: 'spillway',
  [Symbol.for('plugin-meta')]: { name: 'spillway', fastify: '5.x' },
})

// A registered symbol, because the ES module and the CommonJS build may both be loaded.
const STREAMS = Symbol.for('spillway.streams')

const UNTRACKED: Pick<OpenStreams, 'add'> = { add() {} }

/** Returns the stream set of the plugin on an instance or on one that encapsulates it. */
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
    // With `return503OnClosing: false`, Fastify accepts requests while it closes.
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
