import type { Page, Route } from 'playwright-core'
import { describe, expect, it } from 'vitest'
import { hasChromium, useChromium } from '../support/chromium.ts'
import { deferred } from '../support/deferred.ts'
import { startExample } from './example.ts'

describe.skipIf(!hasChromium)('examples/notifications', () => {
  const browser = useChromium()
  const server = startExample('notifications/main.js')
  const hasty = startExample('notifications/main.js', { SESSION_MS: '4000' })

  /** Opens the page on another device of the same user. */
  async function openDevice(url = server.url): Promise<Page> {
    const page = await browser.open(url)
    await shows(page, 'closed')
    await page.getByText('Log in as Ada').click()
    return page
  }

  const shows = (page: Page, state: string) => page.locator('#state', { hasText: state }).waitFor()
  const click = (page: Page, button: string) => page.getByText(button).click()
  const unread = (page: Page) => page.locator('#unread').textContent()
  const notifications = (page: Page) => page.locator('li').allTextContents()
  const processes = async (page: Page) =>
    new Set((await notifications(page)).map((text) => /process (\d+)/.exec(text)?.[1]))

  it('counts unread notifications on all devices, and logs all of them out', async () => {
    const devices = [await openDevice(), await openDevice()]
    const [first, second] = devices as [Page, Page]
    for (const device of devices) await shows(device, 'open')
    await click(first, 'Notify me')
    await click(second, 'Notify me')
    for (const device of devices) {
      await expect.poll(() => unread(device)).toBe('2')
      expect(await notifications(device)).toHaveLength(2)
    }
    await click(second, 'Mark as read')
    for (const device of devices) await expect.poll(() => unread(device)).toBe('0')
    await click(first, 'Log out on all devices')
    for (const device of devices) await shows(device, 'closed')
  })

  it('shows a stream as open if an earlier request is refused later', async () => {
    const device = await browser.open(server.url)
    await shows(device, 'closed')
    const refusal = deferred<void>()
    const requested = deferred<void>()
    const refuse = async (route: Route) => {
      requested.resolve()
      await refusal.promise
      // The page has closed the earlier source, whose request may be aborted.
      await route.fulfill({ status: 401 }).catch(() => {})
    }
    await device.route('**/events', refuse, { times: 1 })
    await click(device, 'Log in as Ada')
    await requested.promise
    await click(device, 'Log in as Ada')
    await shows(device, 'open')
    refusal.resolve()
    const marked = device.waitForResponse('**/read')
    await click(device, 'Mark as read')
    await marked
    expect(await device.locator('#state').textContent()).toBe('open')
    await click(device, 'Log out on all devices')
    await shows(device, 'closed')
  })

  it('admits three devices of a user, and a fourth when one of them is closed', async () => {
    const devices = [await openDevice(), await openDevice(), await openDevice()]
    const [first] = devices as [Page]
    for (const device of devices) await shows(device, 'open')
    await click(first, 'Notify me')
    for (const device of devices) await expect.poll(() => unread(device)).toBe('1')
    const fourth = await openDevice()
    await shows(fourth, 'reconnecting')
    expect(await unread(fourth)).toBe('0')
    await first.close()
    await expect.poll(() => unread(fourth), { timeout: 20_000 }).toBe('1')
    await click(fourth, 'Mark as read')
    await click(fourth, 'Log out on all devices')
    await shows(fourth, 'closed')
  })

  it('ends a stream with its session, unless the page renews it', async () => {
    const [renewing, expiring] = [await openDevice(hasty.url), await openDevice(hasty.url)]
    await expiring.getByLabel('Renew my session').uncheck()
    for (const device of [renewing, expiring]) await shows(device, 'open')
    await shows(expiring, 'closed')
    await click(renewing, 'Notify me')
    await expect.poll(() => unread(renewing)).toBe('1')
    expect(await renewing.locator('#state').textContent()).toBe('open')
  })

  it('loses no notification when all processes are replaced', async () => {
    const device = await openDevice()
    await shows(device, 'open')
    await click(device, 'Notify me')
    await expect.poll(() => unread(device)).toBe('1')
    const before = await processes(device)
    server.signal('SIGHUP')
    let sent = 1
    const deployed = server.lines.next().then(() => 'deployed')
    while ((await Promise.race([deployed, device.waitForTimeout(100)])) !== 'deployed') {
      await click(device, 'Notify me')
      sent += 1
    }
    await click(device, 'Notify me')
    await expect.poll(() => unread(device), { timeout: 20_000 }).toBe(String(sent + 1))
    await expect.poll(() => notifications(device)).toHaveLength(sent + 1)
    expect((await processes(device)).size).toBeGreaterThan(before.size)
  })

  it('has metrics', async () => {
    const metrics = await (await fetch(`${server.url}/metrics`)).text()
    expect(metrics).toMatch(/^# TYPE spillway_server_stream_duration_seconds histogram$/m)
    expect((await fetch(`${server.url}/readyz`)).status).toBe(200)
  })
})
