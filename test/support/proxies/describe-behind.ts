import { describe } from 'vitest'
import type { ProxySetup } from './setups.ts'

/** Describes tests for each proxy. They are skipped for a proxy that is not installed. */
export function describeBehind<Setup extends Pick<ProxySetup, 'name' | 'isInstalled'>>(
  setups: readonly Setup[],
  subject: string,
  tests: (setup: Setup) => void,
): void {
  for (const setup of setups) {
    describe.skipIf(!setup.isInstalled)(`${subject} behind ${setup.name}`, () => tests(setup))
  }
}
