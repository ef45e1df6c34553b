import { type Browser, chromium } from 'playwright-core'
import { requireProgram } from './program.ts'

const executablePath = requireProgram({
  commands: ['chromium', 'chromium-browser', 'google-chrome'],
  install: 'apt-get install chromium',
})

/** For `describe.skipIf(!hasChromium)`. */
export const hasChromium = executablePath !== undefined

// Nothing of the browser's own on the network, and what containers lack.
const args = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
]

/** A headless Chromium. Close it after use. */
export function launchChromium(): Promise<Browser> {
  if (!executablePath) throw new Error('Chromium is not installed: skip the test unless hasChromium.')
  return chromium.launch({ executablePath, args })
}
