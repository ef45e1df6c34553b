import type { Browser } from 'playwright-core'
import { afterAll, beforeAll, describe } from 'vitest'
import { hasChromium, launchChromium } from '../support/chromium.ts'
import { fallbackContract, streamingContract } from '../support/proxies/client-contract.ts'
import { openInBrowser } from '../support/proxies/client-session.ts'
import { BUFFERING, DELAYING, IN_BROWSERS } from '../support/proxies/setups.ts'

describe.runIf(hasChromium)('a client in Chromium', () => {
  let browser: Browser
  beforeAll(async () => {
    browser = await launchChromium()
  })
  afterAll(() => browser?.close())

  const open = openInBrowser(() => browser)
  streamingContract([...IN_BROWSERS, DELAYING], open)
  fallbackContract(BUFFERING, open)
})
