import type { Browser } from 'playwright-core'
import { afterAll, beforeAll, describe } from 'vitest'
import { hasChromium, launchChromium } from '../support/chromium.ts'
import { chromiumClient } from './chromium.ts'
import { clientContract } from './contract.ts'

describe.skipIf(!hasChromium)('a page in a browser', () => {
  let browser: Browser

  beforeAll(async () => {
    browser = await launchChromium()
  })

  afterAll(() => browser.close())

  clientContract(chromiumClient('Chromium', 'http', () => browser))
  clientContract(chromiumClient('Chromium over HTTP/2', 'h2', () => browser))
})
