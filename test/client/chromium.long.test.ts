import type { Browser, BrowserContext } from 'playwright-core'
import { afterAll, beforeAll, describe, onTestFinished } from 'vitest'
import { hasChromium, launchChromium } from '../support/chromium.ts'
import { browserContract } from './browser-contract.ts'

describe.skipIf(!hasChromium)('the built client in Chromium', () => {
  let browser: Browser
  let context: BrowserContext
  beforeAll(async () => {
    browser = await launchChromium()
    context = await browser.newContext()
  })
  afterAll(() => browser?.close())

  browserContract(async (url) => {
    const page = await context.newPage()
    onTestFinished(() => page.close())
    await page.goto(url)
    return page
  }, 'no-first-byte')
})
