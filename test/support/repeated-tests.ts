import type { Reporter, TestCase } from 'vitest/node'

/** Prints the tests that have passed only when they were repeated, with the error of the first attempt. */
export class RepeatedTests implements Reporter {
  readonly #tests: TestCase[] = []

  onTestCaseResult(test: TestCase): void {
    if (test.diagnostic()?.flaky) this.#tests.push(test)
  }

  onTestRunEnd(): void {
    if (this.#tests.length === 0) return
    const lines = this.#tests.map((test) => {
      const [error] = test.result().errors ?? []
      return `${test.module.relativeModuleId} > ${test.fullName}\n  ${error?.message.split('\n')[0]}`
    })
    console.log(`Passed when repeated:\n${lines.join('\n')}\n`)
  }
}
