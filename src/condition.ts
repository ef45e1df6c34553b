/** Those who wait for a condition. Each looks again when they are notified. */
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
