import type { Browser } from 'playwright-core'
import { afterAll, beforeAll, describe } from 'vitest'
import { Hub } from '../../src/hub/hub.ts'
import { logKinds } from '../support/broker-logs.ts'
import { hasChromium, launchChromium } from '../support/chromium.ts'
import { chromiumClient } from './chromium.ts'
import type { ClientUnderTest } from './contract.ts'
import { CLIENTS } from './event-sources.ts'
import { positionContract } from './positions.ts'

const BROKER_ENDINGS = ['is cut', 'is closed by the shutdown of its process']

const shared = logKinds().filter(({ isShared }) => isShared)
let browser: Browser

const pages: ClientUnderTest[] = hasChromium
  ? [
      chromiumClient('Chromium', 'http', () => browser),
      chromiumClient('Chromium over HTTP/2', 'h2', () => browser),
    ]
  : []

describe.runIf(hasChromium)('on memory', () => {
  beforeAll(async () => {
    browser = await launchChromium()
  })
  afterAll(() => browser.close())

  for (const client of pages)
    positionContract(client, { newLog: () => async () => new Hub(), isShared: false })
})

describe.each(shared)('across two processes on $name', ({ newLog }) => {
  beforeAll(async () => {
    if (hasChromium) browser = await launchChromium()
  })
  afterAll(() => browser?.close())

  for (const client of [...CLIENTS, ...pages])
    positionContract(client, { newLog, isShared: true }, BROKER_ENDINGS)
})
