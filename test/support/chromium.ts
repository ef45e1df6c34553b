import { type Browser, chromium, type Page } from 'playwright-core'
import { afterAll, beforeAll } from 'vitest'
import { requireProgram } from './program.ts'

const executablePath = requireProgram({
  commands: ['chromium', 'chromium-browser', 'google-chrome'],
  install: 'apt-get install chromium',
})

/** Whether Chromium is installed, for `describe.skipIf(!hasChromium)`. */
export const hasChromium = executablePath !== undefined

// Disables requests to the network, and features that containers lack.
const args = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
]

/** Launches a headless Chromium. The caller closes it. */
export function launchChromium(): Promise<Browser> {
  if (!executablePath) throw new Error('Chromium is not installed. Skip the test unless hasChromium.')
  return chromium.launch({ executablePath, args })
}

/** Launches a Chromium for the tests of a `describe`. It is closed after them. */
export function useChromium(): { open(url: string): Promise<Page> } {
  let browser: Browser
  beforeAll(async () => {
    browser = await launchChromium()
  })
  afterAll(() => browser?.close())
  return {
    async open(url) {
      const page = await browser.newPage()
      await page.goto(url)
      return page
    },
  }
}
