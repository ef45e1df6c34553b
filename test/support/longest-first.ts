import { relative } from 'node:path'
import { BaseSequencer, type TestSpecification } from 'vitest/node'

/** The test files that take longest, in the order in which they start. */
export const LONGEST = [
  'test/hub/long-poll.property.test.ts',
  'test/stores/memory/memory-store.property.test.ts',
  'test/runs/runs.property.test.ts',
  'test/hub/hub.property.test.ts',
  'test/docs.static.test.ts',
  'test/churn/churn.long.test.ts',
  'test/client/share.long.test.ts',
  'test/adapters/next-app.long.test.ts',
  'test/compression/node.long.test.ts',
  'test/proxies/doctor.proxy.test.ts',
  'test/client/fallback-rates.proxy.test.ts',
  'test/examples/fallback.proxy.test.ts',
  'test/proxies/restart.proxy.test.ts',
]

/**
 * Starts the longest files before those of all projects, because a long file that starts last runs alone at the end. A
 * clean clone has no durations of an earlier run, by which vitest would sort.
 */
export class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files)
    const rankOf = ({ moduleId }: TestSpecification) => {
      const rank = LONGEST.indexOf(relative(this.ctx.config.root, moduleId))
      return rank === -1 ? LONGEST.length : rank
    }
    return sorted.sort((a, b) => rankOf(a) - rankOf(b))
  }
}
