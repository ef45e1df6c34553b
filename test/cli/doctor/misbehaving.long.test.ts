import { monitorEventLoopDelay } from 'node:perf_hooks'
import { beforeAll, describe, expect, test } from 'vitest'
import { examine } from '../../../src/cli/doctor/examine.ts'
import type { Report } from '../../../src/cli/doctor/finding.ts'
import { pageOf } from '../../docs/pages.ts'
import { start } from '../../support/misbehaving/start.ts'
import { HEALTHY_SERVERS, MISBEHAVING_SERVERS, type Misbehaving } from '../../support/misbehaving-servers.ts'

// Long enough for a HEAD without a response and for several events on a busy machine.
const TIMEOUT = 8_000
// More servers at once would delay each other's events.
const CONCURRENT = 12
// The doctor trusts no times that are shorter than twice the time for which its process stood still, in ms.
const STALL = 500
const ATTEMPTS = 3

type Examined = Pick<Misbehaving, 'Server' | 'options' | 'name'>

const reports = new Map<Examined, Report>()

beforeAll(async () => {
  const servers: Examined[] = [...MISBEHAVING_SERVERS, ...HEALTHY_SERVERS].toSorted(longestFirst)
  const worker = async () => {
    for (let each = servers.shift(); each; each = servers.shift()) reports.set(each, await reportOf(each))
  }
  await Promise.all(Array.from({ length: CONCURRENT }, worker))
}, 600_000)

/** Examines a server, and again if this process stood still meanwhile, because the other tests use all cores. */
async function reportOf(each: Examined): Promise<Report> {
  for (let attempt = 1; ; attempt++) {
    const delays = monitorEventLoopDelay({ resolution: 20 })
    delays.enable()
    const report = await examineOnce(each)
    delays.disable()
    if (delays.max < STALL * 1e6 || attempt === ATTEMPTS) return report
  }
}

async function examineOnce({ Server, options }: Examined): Promise<Report> {
  const server = await start(new Server())
  try {
    return await examine(server.url, { timeout: TIMEOUT, insecure: true, ...options })
  } finally {
    server.close()
  }
}

function longestFirst(a: Examined, b: Examined): number {
  return (b.options?.timeout ?? 0) - (a.options?.timeout ?? 0)
}

/** Returns the codes at the level of a problem or a warning, with their messages. */
function faultsOf(each: Examined): string[] {
  const findings = reports.get(each)?.findings ?? []
  return findings.filter(({ level }) => level !== 'note').map(({ code, message }) => `${code}: ${message}`)
}

describe.each(MISBEHAVING_SERVERS)('a server with the fault $code $name', (each) => {
  test('has exactly this finding', () => {
    expect(faultsOf(each)).toEqual([expect.stringMatching(new RegExp(`^${each.code}: `))])
  })

  test('has a message that the page of the code shows', () => {
    const message = reports.get(each)?.findings.find(({ code }) => code === each.code)?.message ?? ''
    const shown = pageOf(`docs/doctor/${each.code}.md`).match(/(?<=^> ).*/gm) ?? []
    expect(shown.map(withoutFigures)).toContain(withoutFigures(message))
  })
})

/** Returns a message without what differs between servers and days: texts in quotes, dates and numbers. */
function withoutFigures(message: string): string {
  return message
    .replace(/".*"/, '…')
    .replace(/\w{3}, \d\d \w{3} \d{4} [\d:]{8} GMT/g, '…')
    .replace(/\d[\d ]*\d|\d/g, '0')
    .replace(/\b(event|line|burst)s\b/g, '$1')
}

describe('a server', () => {
  test.each(HEALTHY_SERVERS)('$name has no problem and no warning', (each) => {
    expect(faultsOf(each)).toEqual([])
    const notes = reports.get(each)?.findings.map(({ code }) => code)
    if (each.code) expect(notes).toContain(each.code)
  })
})
