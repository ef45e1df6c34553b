// Keeps the streams of TanStack AI in runs, in any store of runs. A run can be stopped from each process, and ends as
// `lost` when the process with the model has died. In a POST route:
//
//   const adapter = runStream({ runs, store }, request, abortController)
//   return toServerSentEventsResponse(chat({ …, abortController }), { abortController, durability: { adapter, batch: 1 } })
//
// In a GET route: `resumeServerSentEventsResponse({ adapter: runStream({ runs, store }, request) })`. To stop the
// model: `runs.stop(runId)`. The id of the run comes from the client, so check first that the run belongs to its user.

import { EventType, resolveResumeRunId, type StreamChunk, type StreamDurability } from '@tanstack/ai'
import {
  createSseResponse,
  type ParsedEvent,
  parseEvents,
  type Run,
  type RunStore,
  type Runs,
} from 'spillway'

/** `runs` has the default names of the end and of a gap, and `store` is its store. */
export function runStream(
  { runs, store }: { readonly runs: Runs; readonly store: RunStore },
  request: Request,
  abortController = new AbortController(),
): StreamDurability {
  const id = resolveResumeRunId(request) ?? crypto.randomUUID()
  let chunks!: ReadableStreamDefaultController<{ data: StreamChunk }>
  const source = new ReadableStream({
    start(controller) {
      chunks = controller
    },
  })
  let signal: AbortSignal | undefined
  let run: Promise<Run> | undefined
  let stored!: ReturnType<typeof eventsAfter>

  /** The events of the run after an offset, read without a network. */
  function eventsAfter(offset = '-1', signal: AbortSignal | null = null) {
    const headers: Record<string, string> = offset === '-1' ? {} : { 'Last-Event-ID': offset }
    const request = new Request('http://localhost', { headers, signal })
    return parseEvents(createSseResponse(request, (stream) => runs.subscribe(stream, id)))
  }

  async function start(): Promise<Run> {
    const started = await runs.start(id, (abort) => {
      signal = abort
      signal.addEventListener('abort', () => abortController.abort())
      return source
    })
    if (!signal) throw new Error(`There is a run ${id} already.`)
    stored = eventsAfter()
    return started
  }

  return {
    resumeFrom: () => request.headers.get('Last-Event-ID') ?? new URL(request.url).searchParams.get('offset'),

    // The run is read too, because its store assigns the offsets.
    async append(batch) {
      run ??= start()
      await run
      for (const data of batch) chunks.enqueue({ data })
      const offsets: string[] = []
      while (offsets.length < batch.length) {
        const { value } = await stored.next()
        if (!value || value.event === 'end') throw new Error(`The run ${id} has ended.`)
        if (value.data !== undefined) offsets.push(offsetOf(value))
      }
      return offsets
    },

    async *read(offset, signal) {
      const after = offset === 'now' ? (await this.snapshot()).at(-1)?.offset : offset
      for await (const event of eventsAfter(after, signal)) {
        if (event.data === undefined) continue
        const end = event.event === 'end' ? JSON.parse(event.data).reason : undefined
        if (end === 'done') return
        const error = { type: EventType.RUN_ERROR, message: String(end) } as const
        yield { offset: offsetOf(event), chunk: end ? error : JSON.parse(event.data) }
      }
    },

    async close() {
      if (!signal) return
      if (!signal.aborted) chunks.close()
      await (await run)?.whenEnded()
      await stored.return?.()
    },

    async snapshot() {
      const { last = 0, end } = (await store.find(id)) ?? {}
      const entries: Awaited<ReturnType<StreamDurability['snapshot']>> = []
      if (last > (end ? 1 : 0))
        for await (const entry of this.read('-1')) if (entries.push(entry) === last - (end ? 1 : 0)) break
      return entries
    },
  }
}

function offsetOf({ event, id = '' }: ParsedEvent): string {
  if (event === 'gap') throw new Error('The run is not kept, or not from this offset on.')
  return id
}
