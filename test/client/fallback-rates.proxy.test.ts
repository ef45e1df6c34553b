import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect, it } from 'vitest'
import { requireProgram } from '../support/program.ts'
import { BUFFERING } from '../support/proxies/setups.ts'

const root = join(import.meta.dirname, '../..')
const redis = requireProgram({ commands: ['redis-server'], install: 'apt-get install redis-server' })
const isInstalled = redis !== undefined && BUFFERING.every((setup) => setup.isInstalled)

// `npm run fallback` in `bench/` runs 1 000 and 110 sessions.
it.runIf(isInstalled)(
  'clients never fall back on a network that streams, and always behind a proxy that holds all bytes',
  { timeout: 300_000 },
  async () => {
    const args = ['bench/fallback/run.js', '--short']
    const { stdout } = await promisify(execFile)(process.execPath, args, { cwd: root })
    console.info(stdout)
    expect(stdout).toContain('Target: no fault: 0 and 0: met')
  },
)
