import { describe, expect, it } from 'vitest'
import { hasChromium, useChromium } from '../support/chromium.ts'
import { startExample } from './example.ts'

describe.skipIf(!hasChromium)('the page of examples/cookie-auth', () => {
  const server = startExample('cookie-auth/server.js')
  const browser = useChromium()

  it('shows events between a login and a logout', async () => {
    const page = await browser.open(server.url)
    const shows = (state: string) => page.locator('h1', { hasText: state }).waitFor()

    await shows('Logged out')
    await page.getByText('Log in').click()
    await shows('Logged in')
    await page.locator('li').first().waitFor()
    await page.getByText('Log out').click()
    await shows('Logged out')
  })
})

describe.skipIf(!hasChromium)('the page of examples/token-auth', () => {
  const server = startExample('token-auth/server.js', { TOKEN_MS: '1000' })
  const browser = useChromium()

  it('resumes with a new token when the token has expired', async () => {
    const page = await browser.open(server.url)
    const numbers = async () => (await page.locator('output, span, b').allTextContents()).map(Number)

    await expect.poll(async () => (await numbers())[0]).toBeGreaterThan(0)
    const [count = 0, seen = 0] = await numbers()
    await expect.poll(async () => (await numbers())[2]).toBeGreaterThanOrEqual(3)
    const [laterCount = 0, laterSeen = 0] = await numbers()

    // Events published while the page had no stream were sent too.
    expect(laterSeen - seen).toBe(laterCount - count)
  })
})
