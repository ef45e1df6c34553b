import { describe, expect, it } from 'vitest'
import { supportedEncodings } from '../../src/compression/zlib.ts'
import { createSseStream } from '../../src/http/create-sse-stream.ts'
import type { SseStream } from '../../src/stream/stream.ts'
import { hasChromium, useChromium } from '../support/chromium.ts'
import { deferred, serve } from '../support/serve.ts'

declare const window: { onData(data: string): void }
declare class EventSource {
  constructor(url: string)
  onmessage: (event: { data: string }) => void
}

function listen(): void {
  new EventSource('/stream').onmessage = ({ data }) => window.onData(data)
}

describe.skipIf(!hasChromium)('an EventSource of a browser', () => {
  const browser = useChromium()

  it.each(supportedEncodings())('receives each event with %s before the next is sent', async (encoding) => {
    const opened = deferred<SseStream>()
    let accepted: string | undefined
    const { url } = await serve((request, response) => {
      if (request.url !== '/stream') return void response.end('<!doctype html>')
      accepted = `${request.headers['accept-encoding']}`
      request.headers['accept-encoding'] = encoding
      opened.resolve(createSseStream(request, response, { compress: true }))
    })
    const page = await browser.open(url)
    let onData = (_data: string) => {}
    await page.exposeFunction('onData', (data: string) => onData(data))
    await page.evaluate(listen)
    const stream = await opened.promise
    for (let id = 1; id <= 5; id++) {
      const received = new Promise<string>((resolve) => {
        onData = resolve
      })
      stream.send({ id, data: `event ${id}` })
      expect(await received).toBe(`event ${id}`)
    }
    expect(accepted).toContain(encoding)
  })
})
