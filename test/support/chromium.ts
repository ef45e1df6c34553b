import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { type Browser, type BrowserContext, chromium, type Page } from 'playwright-core'
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

/**
 * Launches a headless Chromium whose pages can be hidden and frozen, because Playwright sets none of its defaults. The
 * caller calls `close`.
 */
export async function launchPlainChromium(): Promise<{ context: BrowserContext; close(): Promise<void> }> {
  const folder = await mkdtemp(join(tmpdir(), 'chromium-'))
  const options = [
    '--headless=new',
    '--no-startup-window',
    '--remote-debugging-port=0',
    `--user-data-dir=${folder}`,
  ]
  const child = spawn(`${executablePath}`, [...args, ...options], { stdio: ['ignore', 'ignore', 'pipe'] })
  const close = async () => {
    child.kill('SIGKILL')
    if (child.exitCode === null && child.signalCode === null) await once(child, 'exit')
    await rm(folder, { recursive: true, force: true, maxRetries: 10 })
  }
  for await (const line of createInterface(child.stderr)) {
    const [url] = line.match(/ws:\/\/\S+/) ?? []
    if (!url) continue
    child.stderr.resume()
    const browser = await chromium.connectOverCDP(url, { noDefaults: true })
    return { context: browser.contexts()[0] as BrowserContext, close }
  }
  await close()
  throw new Error('Chromium has not started.')
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
