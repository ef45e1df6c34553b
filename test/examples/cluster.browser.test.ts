import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { hasChromium, launchChromium } from '../support/chromium.ts'

const script = fileURLToPath(new URL('../../examples/cluster/main.js', import.meta.url))

describe.skipIf(!hasChromium)('examples/cluster', () => {
  let cluster: ChildProcess
  let browser: Browser
  let url = ''

  beforeAll(async () => {
    browser = await launchChromium()
    cluster = spawn(process.execPath, [script], {
      env: { ...process.env, PORT: '0' },
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    for await (const line of createInterface(cluster.stdout as NodeJS.ReadableStream)) {
      url = line.slice(line.indexOf('http'))
      break
    }
  })

  afterAll(async () => {
    await browser.close()
    const exit = once(cluster, 'exit')
    cluster.kill('SIGTERM')
    await exit
  })

  it('loses and doubles nothing for its tabs when their process dies, and when Redis does', async () => {
    const tabs = await Promise.all([1, 2, 3].map(() => openTab()))
    for (const kill of ['Kill a process', 'Kill Redis for a second', 'Kill a process']) {
      const events = await Promise.all(tabs.map((tab) => count(tab, 'events')))
      await (tabs[0] as Page).getByText(kill).click()
      for (const [i, tab] of tabs.entries())
        await expect
          .poll(() => count(tab, 'events'), { timeout: 15_000 })
          .toBeGreaterThan((events[i] ?? 0) + 12)
    }
    for (const tab of tabs) {
      expect(await count(tab, 'missing')).toBe(0)
      expect(await count(tab, 'twice')).toBe(0)
      expect(await count(tab, 'gaps')).toBe(0)
    }
    expect((await Promise.all(tabs.map((tab) => count(tab, 'connections')))).some((n) => n > 1)).toBe(true)
  })

  async function openTab(): Promise<Page> {
    const tab = await browser.newPage()
    await tab.goto(url)
    await expect.poll(() => count(tab, 'events')).toBeGreaterThan(0)
    return tab
  }
})

async function count(tab: Page, id: string): Promise<number> {
  return Number(await tab.locator(`#${id}`).textContent())
}
