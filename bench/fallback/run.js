import { parseArgs } from 'node:util'
import { launchRedis } from '../../support/broker.js'
import { buildSpillway } from '../lib/build.js'

// Both error rates of the fallback of the client. Exits with 1 unless both are zero. `--short` has fewer sessions.

const { values } = parseArgs({ options: { short: { type: 'boolean', default: false } } })

buildSpillway()
// They import the build.
const { measureHealthy } = await import('./healthy.js')
const { measureMuting } = await import('./muting.js')
const redis = await launchRedis()
const faults = []
try {
  if (values.short)
    faults.push(...(await Promise.all([measureHealthy(redis.port, 70, 7), measureMuting(redis.port, 11)])))
  else faults.push(await measureHealthy(redis.port, 1000, 3), await measureMuting(redis.port, 110))
} catch (error) {
  // Trials that still run fail without Redis, and would hide this error.
  console.error(error)
  process.exit(1)
} finally {
  await redis.end()
}
const [wrong, missed] = faults
console.log(`Target: no fault: ${wrong} and ${missed}: ${wrong + missed === 0 ? 'met' : 'MISSED'}`)
process.exitCode = wrong + missed === 0 ? 0 : 1
