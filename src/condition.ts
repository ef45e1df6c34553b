/** A condition variable: `until` waits, and `notify` has every waiter evaluate its condition again. */
export class Condition {
  #resolves: Array<() => void> = []

  async until(isReady: () => boolean): Promise<void> {
    while (!isReady()) await new Promise<void>((resolve) => this.#resolves.push(resolve))
  }

  notify(): void {
    const resolves = this.#resolves
    this.#resolves = []
    for (const resolve of resolves) resolve()
  }
}
