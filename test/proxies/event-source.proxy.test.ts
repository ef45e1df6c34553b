import type { Browser } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { chromiumClient } from '../clients/chromium.ts'
import { connect } from '../clients/contract.ts'
import { hasChromium, launchChromium } from '../support/chromium.ts'
import { describeBehind } from '../support/proxies/describe-behind.ts'
import { ServedBehindProxy } from '../support/proxies/served-behind-proxy.ts'
import { IN_BROWSERS } from '../support/proxies/setups.ts'

describe.runIf(hasChromium)('an EventSource in Chromium', () => {
  let browser: Browser
  beforeAll(async () => {
    browser = await launchChromium()
  })
  afterAll(() => browser?.close())

  describeBehind(IN_BROWSERS, 'a stream', ({ protocol, start }) => {
    const proxy = new ServedBehindProxy({ protocol, start })
    const client = chromiumClient('Chromium', protocol, () => browser)

    it('receives each event before the next one, with and without a cut in between', async () => {
      let sent = 0
      const { path } = proxy.routeStreams({ retry: 1 }, (stream) => {
        // The client has received all events before its connection was cut.
        expect(stream.lastEventId).toBe(sent === 0 ? undefined : String(sent))
        current = stream
        send()
      })
      let current: Parameters<NonNullable<Parameters<typeof proxy.routeStreams>[1]>>[0] | undefined
      const send = () => {
        sent += 1
        current?.send({ id: sent, data: `event ${sent}` })
      }
      const { receive } = await connect(client, proxy.url(path))
      for (let event = 1; event <= 20; event++) {
        await receive(event)
        if (event % 7 === 0) current?.destroy()
        else send()
      }
      const received = await receive(21)
      expect(received.map(({ data }) => data)).toEqual(Array.from({ length: 21 }, (_, i) => `event ${i + 1}`))
    })
  })
})
