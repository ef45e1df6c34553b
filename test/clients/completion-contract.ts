import type { ServerResponse } from 'node:http'
import { describe, expect, test } from 'vitest'
import type { SseEvent } from '../../src/event/event.ts'
import { deferred } from '../support/deferred.ts'
import { closed } from '../support/streams.ts'
import { completionOf, endEvent, read, request, serveModel, serveRun } from './completions.ts'
import { type ConnectRunStores, openProcesses } from './run-processes.ts'
import { completionChunk, DONE, TEXT } from './sdks.ts'

/** Tests the stream of the `openai` package as the source of a run, which its client reads in two processes. */
export function completionContract(name: string, connect: ConnectRunStores): void {
  /** Starts a run with a completion of a model, and serves it in both processes. */
  async function started(respond?: Parameters<typeof serveModel>[0]) {
    const processes = await openProcesses(connect, { endEvent, lease: 5_000 })
    const { first, second } = processes
    const model = await serveModel(respond)
    const run = await first.start('a', completionOf(model.openai))
    const clients = [await serveRun(first), await serveRun(second)] as const
    return { ...processes, model, run, clients }
  }

  /** Reads a completion to its end. The second promise resolves with its first text. */
  function reading(client: Parameters<typeof read>[0]) {
    const begun = deferred<string>()
    return { text: read(client, begun.resolve), begun: begun.promise }
  }

  describe(`the stream of the openai package as the source of a run, ${name}`, () => {
    test('is relayed to each client, although a client disconnects in the middle', async () => {
      const { model, run, clients } = await started()
      const answer = await model.answer
      const [first, ...others] = TEXT.map((text) => ({ data: completionChunk(text) }))
      answer.send(first as SseEvent)
      for (const client of clients)
        for await (const { choices } of await client.chat.completions.create({ ...request, stream: true })) {
          expect(choices[0]?.delta.content).toBe(TEXT[0])
          break
        }
      const early = clients.map(reading)
      await Promise.all(early.map(({ begun }) => begun))
      await answer.sendAll([...others, DONE])
      answer.close()
      expect(await run.whenEnded()).toBe('done')
      const late = clients.map(reading)
      for (const { text } of [...early, ...late]) expect(await text).toBe(TEXT.join(''))
      expect(model.calls()).toBe(1)
    })

    test('is aborted by a stop of another process, which each client receives as an error', async () => {
      const { model, second, clients, first } = await started()
      const answer = await model.answer
      const aborted = closed(answer)
      answer.send({ data: completionChunk('a') })
      const all = clients.map(reading)
      const failed = all.map(({ text }) => expect(text).rejects.toThrow('stopped'))
      await Promise.all(all.map(({ begun }) => begun))
      expect(await second.stop('a')).toBe(true)
      expect(await aborted).toMatchObject({ reason: 'client' })
      await Promise.all(failed)
      expect([first.errors, second.errors]).toEqual([[], []])
    })

    test('is reported as lost to a client of another process when its own process has died', async () => {
      const { model, clients, die } = await started()
      const answer = await model.answer
      answer.send({ data: completionChunk('a') })
      const { text, begun } = reading(clients[1])
      const failed = expect(text).rejects.toThrow('lost')
      await begun
      await die()
      await failed
    })

    test.each([
      ['refuses the request', (response: ServerResponse) => response.writeHead(429).end(), { status: 429 }],
      [
        'reports an error in its stream',
        (response: ServerResponse) => response.end('data: {"error":{"message":"secret"}}\n\n'),
        { message: 'secret' },
      ],
      [
        'cuts its stream',
        (response: ServerResponse) => {
          response.write(`data: ${JSON.stringify(completionChunk('a'))}\n\n`, () => response.destroy())
        },
        { message: 'terminated' },
      ],
    ])('ends the run as error when the model %s', async (_, respond, error) => {
      const { run, clients, first } = await started((_, response) => respond(response))
      expect(await run.whenEnded()).toBe('error')
      expect(first.errors).toEqual([expect.objectContaining(error)])
      // Without the text of the error.
      for (const client of clients) await expect(read(client)).rejects.toThrow(/^error$/)
    })

    test('relays the named events of a response', async () => {
      const { first, second } = await openProcesses(connect, { endEvent })
      const { openai, answer } = await serveModel()
      const responses = { model: 'm', input: '', stream: true } as const
      await first.start('a', async function* (signal) {
        for await (const data of await openai.responses.create(responses, { signal }))
          yield { event: data.type, data }
      })
      const model = await answer
      for (const delta of TEXT) {
        const type = 'response.output_text.delta'
        model.send({ event: type, data: { type, delta } })
      }
      model.close()
      for (const client of [await serveRun(first), await serveRun(second)]) {
        const texts: string[] = []
        for await (const event of await client.responses.create(responses))
          if (event.type === 'response.output_text.delta') texts.push(event.delta)
        expect(texts).toEqual(TEXT)
      }
    })
  })
}
