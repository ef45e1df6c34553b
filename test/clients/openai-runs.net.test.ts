import type { IncomingMessage } from 'node:http'
import { describe, expect, test } from 'vitest'
import { deferred } from '../support/deferred.ts'
import { sseError } from '../support/hub.ts'
import { openRuns } from '../support/runs.ts'
import { closed } from '../support/streams.ts'
import { completionContract } from './completion-contract.ts'
import { completionOf, endEvent, request, serveModel } from './completions.ts'
import { inMemory } from './run-processes.ts'
import { completionChunk } from './sdks.ts'

completionContract('in memory', inMemory)

describe('the stream of the openai package as the source of a run', () => {
  test('is aborted by a stop before the model has responded', async () => {
    const requested = deferred<IncomingMessage>()
    const { openai } = await serveModel((request) => requested.resolve(request))
    const runs = openRuns({ endEvent })
    const run = await runs.start('a', completionOf(openai))
    const { socket } = await requested.promise
    const aborted = new Promise((resolve) => socket.once('close', resolve))
    expect(await run.stop()).toBe(true)
    await aborted
    expect([await run.whenEnded(), runs.errors]).toEqual(['stopped', []])
  })

  test('ends the run as error, with a hint, and aborts the request if its chunks are not mapped to events', async () => {
    const { openai, answer } = await serveModel()
    const runs = openRuns({ endEvent })
    const chunksOf = (signal: AbortSignal) =>
      openai.chat.completions.create({ ...request, stream: true }, { signal })
    // @ts-expect-error: a chunk is not an event.
    const run = await runs.start('a', chunksOf)
    const model = await answer
    const aborted = closed(model)
    model.send({ data: completionChunk('a') })
    expect(await run.whenEnded()).toBe('error')
    expect(await aborted).toMatchObject({ reason: 'client' })
    expect(runs.errors).toEqual([sseError('ERR_SSE_EVENT')])
    expect(String(runs.errors[0])).toContain('Did you mean { data: object }?')
  })
})
