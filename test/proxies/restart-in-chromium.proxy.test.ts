import type { Browser } from 'playwright-core'
import { afterAll, beforeAll, describe } from 'vitest'
import { hasChromium, launchChromium } from '../support/chromium.ts'
import { openInBrowser } from '../support/proxies/client-session.ts'
import { reloadContract, restartContract } from '../support/proxies/restart-contract.ts'
import { RELOADING, STREAMING } from '../support/proxies/setups.ts'

const RESTARTED = ['nginx', 'nginx with HTTP/2 to the client']

describe.runIf(hasChromium)('in Chromium', () => {
  let browser: Browser
  beforeAll(async () => {
    browser = await launchChromium()
  })
  afterAll(() => browser?.close())

  const open = openInBrowser(() => browser)
  restartContract(
    STREAMING.filter(({ name }) => RESTARTED.includes(name)),
    open,
  )
  reloadContract(RELOADING, open)
})
