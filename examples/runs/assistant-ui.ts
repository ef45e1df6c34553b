// A store for the resumable streams of assistant-ui that keeps them in runs, in any store of runs. A stream can be
// stopped from each process with `runs.stop(streamId)`, and ends with an error when the process that produces it has
// died:
//
//   const runs = new Runs({ store, errorMessage: String })
//   const context = createResumableStreamContext({ store: resumableStore(runs) })
//
// The id of a stream comes from the client, so check before `context.resume` that the stream belongs to its user.

import { ResumableStreamError, type ResumableStreamStore } from 'assistant-stream/resumable'
import { createSseResponse, parseEvents, type Run, type Runs } from 'spillway'

/** A stream that this process produces. */
interface Producer {
  readonly token: string
  readonly run: Run
  readonly writer: WritableStreamDefaultWriter<{ data: string }>
}

/**
 * `runs` has the default names of the end and of a gap. Readers get the texts that its option `errorMessage` returns.
 */
export function resumableStore(runs: Runs): Required<ResumableStreamStore> {
  const producers = new Map<string, Producer>()

  return {
    acquire: async (id, options) => (await acquireLease(id, options)).role,
    acquireLease,

    // Resolves when the run has read the chunk, so that a slow store slows the producer down.
    async append(id, chunk, lease) {
      const producer = producers.get(id)
      const isOwner = producer && (!lease || lease.token === producer.token)
      if (!isOwner) throw new ResumableStreamError('missing', `This process does not produce ${id}.`)
      await producer.writer.write({ data: Buffer.from(chunk).toString('base64') }).catch(() => {
        throw new ResumableStreamError('finalized', `The stream ${id} has ended.`)
      })
    },

    async finalize(id, status, error, lease) {
      const producer = producers.get(id)
      if (!producer || (lease && lease.token !== producer.token)) return false
      const { run, writer } = producer
      // They fail if the run was stopped.
      if (status === 'done') await writer.close().catch(() => {})
      else await writer.abort(new Error(error)).catch(() => {})
      return (await run.whenEnded()) === status
    },

    async *read(id, after, signal) {
      const request = new Request('http://localhost', {
        headers: after ? { 'Last-Event-ID': after } : {},
        signal,
      })
      const response = createSseResponse(request, (stream) => runs.subscribe(stream, id))
      try {
        for await (const { event, id: cursor = '', data } of parseEvents(response)) {
          if (event === 'gap') throw new ResumableStreamError('missing', `The stream ${id} is not kept.`)
          if (event === 'end') return endOf(JSON.parse(data ?? ''))
          if (data !== undefined) yield { cursor, chunk: new Uint8Array(Buffer.from(data, 'base64')) }
        }
      } catch (error) {
        if (!signal.aborted) throw error
      }
    },

    async status(id) {
      const run = await runs.get(id)
      if (!run) return 'missing'
      if (!run.end) return 'streaming'
      return run.end === 'error' || run.end === 'lost' ? 'error' : 'done'
    },

    async delete(id) {
      await runs.delete(id)
    },
  }

  async function acquireLease(id: string, { ttlMs }: { readonly ttlMs?: number } = {}) {
    const { readable, writable } = new TransformStream<{ data: string }, { data: string }>()
    let isProducer = false
    const open = () => {
      isProducer = true
      return readable
    }
    const run = await runs.start(id, open, { keep: ttlMs }).catch((error) => {
      if (error.code !== 'ERR_SSE_RUN_ENDED') throw error
    })
    if (!run || !isProducer) return { role: 'consumer' } as const
    const lease = { token: crypto.randomUUID() }
    producers.set(id, { ...lease, run, writer: writable.getWriter() })
    const forget = () => producers.get(id)?.token === lease.token && producers.delete(id)
    run.whenEnded().then(forget, forget)
    return { role: 'producer', lease } as const
  }
}

/** Throws the error with which a stream has ended. */
function endOf({ reason, message = reason }: { readonly reason: string; readonly message?: string }): void {
  if (reason === 'error' || reason === 'lost') throw new Error(message)
}
