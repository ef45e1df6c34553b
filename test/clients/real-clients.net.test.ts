import { EventSource as EventSourcePackage } from 'eventsource'
import type { Browser } from 'playwright-core'
import { type EventSourceInit, EventSource as UndiciEventSource } from 'undici'
import { afterAll, beforeAll, describe } from 'vitest'
import { hasChromium, launchChromium } from '../support/chromium.ts'
import { chromiumClient } from './chromium.ts'
import { clientContract } from './contract.ts'
import { eventSourceClient } from './event-source.ts'
import { fetchEventSourceClient } from './fetch-event-source.ts'

clientContract(eventSourceClient('the eventsource package', (url) => new EventSourcePackage(url)))

// It obeys `retry` only when an event follows on the same connection.
const soon = { node: { reconnectionTime: 1 } } as EventSourceInit
clientContract(eventSourceClient('undici', (url) => new UndiciEventSource(url, soon)))

clientContract(fetchEventSourceClient)

describe.skipIf(!hasChromium)('in a browser', () => {
  let browser: Browser

  beforeAll(async () => {
    browser = await launchChromium()
  })

  afterAll(() => browser.close())

  clientContract(chromiumClient('Chromium', 'http', () => browser))
  clientContract(chromiumClient('Chromium over HTTP/2', 'h2', () => browser))
})
