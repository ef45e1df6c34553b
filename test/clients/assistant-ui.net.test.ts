import { text } from 'node:stream/consumers'
import { AssistantMessageStream, DataStreamDecoder } from 'assistant-stream'
import {
  createResumableAssistantStreamResponse,
  createResumableStreamContext,
  createResumeAssistantStreamResponse,
} from 'assistant-stream/resumable'
import { Runs } from 'spillway'
import { describe, expect, onTestFinished, test, vi } from 'vitest'
import { resumableStore } from '../../examples/runs/assistant-ui.ts'
import { deferred } from '../support/deferred.ts'
import { TEXT } from './sdks.ts'

function openContext() {
  const runs = new Runs({ errorMessage: (error) => (error as Error).message })
  const errors: unknown[] = []
  runs.on('error', (error) => errors.push(error))
  onTestFinished(() => runs.shutdown({ grace: 0 }))
  const store = resumableStore(runs)
  const failures: unknown[] = []
  const context = createResumableStreamContext({ store, onError: (_, error) => failures.push(error) })
  return { runs, store, context, errors, failures }
}

/** A stream of bytes that a test writes. */
function openBytes() {
  let controller!: ReadableStreamDefaultController<Uint8Array>
  const cancelled = deferred<unknown>()
  const make = vi.fn(
    () =>
      new ReadableStream<Uint8Array>({
        start(opened) {
          controller = opened
        },
        cancel: (reason) => cancelled.resolve(reason),
      }),
  )
  const write = (bytes: Uint8Array | string) => controller.enqueue(Buffer.from(bytes))
  return { make, write, end: () => controller.close(), fail: (e: Error) => controller.error(e), cancelled }
}

const whole = TEXT.join('')

describe('examples/runs/assistant-ui.ts', () => {
  test('produces a stream once, and lets each reader read all of its bytes', async () => {
    const { context, runs } = openContext()
    const bytes = openBytes()
    const first = await context.run('a', bytes.make)
    const duck = Buffer.from(whole)
    // In the middle of a character.
    bytes.write(duck.subarray(0, -4))
    const reader = first.getReader()
    expect((await reader.read()).value).toEqual(new Uint8Array(duck.subarray(0, -4)))
    await reader.cancel()
    const second = await context.run('a', bytes.make)
    const resumed = await context.requireResume('a')
    expect(await context.status('a')).toBe('streaming')
    bytes.write(duck.subarray(-4))
    bytes.end()
    for (const stream of [second, resumed]) expect(await text(stream)).toBe(whole)
    expect(await context.status('a')).toBe('done')
    expect(await text(await context.run('a', bytes.make))).toBe(whole)
    expect(bytes.make).toHaveBeenCalledTimes(1)
    expect([runs.size, runs.running]).toEqual([0, 0])
  })

  test('passes the error of a stream to its readers after all of its bytes', async () => {
    const { context, errors } = openContext()
    // The package prints that a stream with an error cannot be cancelled.
    const printed = vi.spyOn(console, 'error').mockImplementation(() => {})
    onTestFinished(() => printed.mockRestore())
    const bytes = openBytes()
    const reader = (await context.run('a', bytes.make)).getReader()
    bytes.write('a')
    expect(Buffer.from((await reader.read()).value ?? []).toString()).toBe('a')
    bytes.fail(new Error('broken'))
    await expect(reader.read()).rejects.toThrow('broken')
    expect(await context.status('a')).toBe('error')
    const late = (await context.requireResume('a')).getReader()
    expect(Buffer.from((await late.read()).value ?? []).toString()).toBe('a')
    await expect(late.read()).rejects.toThrow('broken')
    expect(errors).toHaveLength(1)
  })

  test('ends the readers and the producer of a stream that is stopped or deleted', async () => {
    for (const action of ['stop', 'delete'] as const) {
      const { context, runs, failures } = openContext()
      const bytes = openBytes()
      const reader = (await context.run('a', bytes.make)).getReader()
      bytes.write('a')
      expect((await reader.read()).done).toBe(false)
      if (action === 'stop') await runs.stop('a')
      else await context.delete('a')
      expect(await reader.read()).toEqual({ done: true, value: undefined })
      bytes.write('b')
      await bytes.cancelled.promise
      expect(failures).toEqual([expect.objectContaining({ code: expect.any(String) })])
      expect(await context.status('a')).toBe(action === 'stop' ? 'done' : 'missing')
    }
  })

  test('rejects the writes of a producer that another one has replaced', async () => {
    const { store, runs } = openContext()
    const first = await store.acquireLease('a')
    await store.delete('a')
    const second = await store.acquireLease('a')
    const [old, lease] = [first, second].map((each) => (each.role === 'producer' ? each.lease : undefined))
    await expect(store.append('a', Buffer.from('old'), old)).rejects.toMatchObject({ code: 'missing' })
    expect(await store.finalize('a', 'done', undefined, old)).toBe(false)
    await store.append('a', Buffer.from('new'), lease)
    expect(await store.finalize('a', 'done', undefined, lease)).toBe(true)
    expect(await store.finalize('a', 'done', undefined, lease)).toBe(false)
    expect(await store.acquire('a')).toBe('consumer')
    const chunks: string[] = []
    for await (const { chunk } of store.read('a', '', new AbortController().signal))
      chunks.push(Buffer.from(chunk).toString())
    expect(chunks).toEqual(['new'])
    expect(runs.running).toBe(0)
  })

  test('reads after a cursor, ends without an error when the reader aborts, and returns nothing for an unknown stream', async () => {
    const { store, context, runs } = openContext()
    await store.acquire('a')
    for (const each of TEXT) await store.append('a', Buffer.from(each))
    const controller = new AbortController()
    const cursors: string[] = []
    for await (const { cursor } of store.read('a', '', controller.signal)) {
      cursors.push(cursor)
      if (cursors.length === TEXT.length) controller.abort()
    }
    const rest = store.read('a', cursors[1] ?? '', new AbortController().signal)[Symbol.asyncIterator]()
    const { value } = await rest.next()
    expect(Buffer.from(value?.chunk ?? []).toString()).toBe(TEXT[2])
    await rest.return?.()
    await vi.waitFor(() => expect(runs.size).toBe(0))
    expect(await context.resume('none')).toBeNull()
    await expect(store.read('none', '', controller.signal)[Symbol.asyncIterator]().next()).resolves.toEqual({
      done: true,
      value: undefined,
    })
  })

  test('carries an assistant stream, which is resumed as a whole', async () => {
    const { context } = openContext()
    const created = await createResumableAssistantStreamResponse({
      context,
      streamId: 'a',
      callback(controller) {
        for (const each of TEXT) controller.appendText(each)
      },
    })
    await created.body?.cancel()
    const resumed = await createResumeAssistantStreamResponse({ context, streamId: 'a' })
    const parts = AssistantMessageStream.fromAssistantStream(
      (resumed.body as ReadableStream).pipeThrough(new DataStreamDecoder()),
    )
    const { parts: content } = await parts.unstable_result()
    expect(content).toMatchObject([{ type: 'text', text: whole }])
    const missing = await createResumeAssistantStreamResponse({ context, streamId: 'none' })
    expect(missing.status).toBe(404)
  })
})
