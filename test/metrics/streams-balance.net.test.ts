import type { IncomingMessage, ServerResponse } from 'node:http'
import { expect, it } from 'vitest'
import { createSseStream } from '../../src/http/create-sse-stream.ts'
import { sse } from '../../src/http/sse.ts'
import type { SseStream } from '../../src/stream/stream.ts'
import { watch } from '../support/diagnostics.ts'
import { serve } from '../support/serve.ts'
import { Tally } from '../support/tally.ts'

const formats = ['event-stream', 'json'] as const
const endAtOnce = (stream: SseStream) => stream.close()

const HANDLERS: Readonly<Record<string, (request: IncomingMessage, response: ServerResponse) => unknown>> = {
  function: (request, response) => endAtOnce(createSseStream(request, response, { formats: [...formats] })),
  handler: sse(endAtOnce, { formats: [...formats] }),
  refusal: sse(endAtOnce, { formats: [...formats], authorize: () => false }),
  'refusal with a retry': sse(endAtOnce, { formats: [...formats], authorize: () => ({ retry: 1 }) }),
}

it.each(Object.keys(HANDLERS))('counts each stream as open and then as closed, with a %s', async (name) => {
  const tally = new Tally()
  const opens = watch('spillway:stream:open')
  const closes = watch('spillway:stream:close')
  const { port } = await serve((request, response) => void HANDLERS[name]?.(request, response))

  for (const method of ['GET', 'HEAD'])
    for (const accept of ['text/event-stream', 'application/json', 'image/png']) {
      const response = await fetch(`http://127.0.0.1:${port}`, { method, headers: { accept } })
      await response.text()
    }

  await expect.poll(() => closes.length).toBe(opens.length)
  expect(opens.length).toBeGreaterThan(0)
  expect(new Set(closes.map(({ stream }) => stream))).toEqual(new Set(opens.map(({ stream }) => stream)))
  expect(await tally.expectBalance()).toMatchObject({ open: 0, closed: opens.length })
})
