import type { promises } from 'node:fs'
import { builtinModule } from '../runtime.ts'
import { warnOnce } from '../warn.ts'

// The share of the limit from which a warning is emitted.
const NEAR = 0.8
// How often the descriptors are counted until the limit is reached.
const CHECKS = 20

/** Reads the limits and the open descriptors of this process from Linux. */
export interface DescriptorSource {
  /** Returns the text of `/proc/self/limits`. */
  limits(): Promise<string>
  /** Returns the number of open descriptors. */
  count(): Promise<number>
}

/**
 * Warns once when the number of open descriptors is near its limit. Counts them again after as many new streams as a
 * twentieth of the limit, so that a stream costs one comparison.
 */
export class DescriptorWatch {
  readonly #source: DescriptorSource | undefined
  #untilCheck = 1
  #limit = 0

  /** Without a source, descriptors are not counted. */
  constructor(source: DescriptorSource | undefined) {
    this.#source = source
  }

  /** Counts a stream that was opened. */
  onOpen(): void {
    this.#untilCheck -= 1
    if (this.#untilCheck !== 0 || !this.#source) return
    void this.#check(this.#source).catch(warnIfExhausted)
  }

  async #check(source: DescriptorSource): Promise<void> {
    this.#limit ||= await limitOf(source)
    if (!(this.#limit > 0)) return
    const count = await source.count()
    this.#untilCheck = Math.max(1, Math.floor(this.#limit / CHECKS))
    if (count < this.#limit * NEAR) return
    // The limit may have been raised meanwhile.
    this.#limit = await limitOf(source)
    if (count >= this.#limit * NEAR)
      warn(`The process has ${count} open descriptors and may have ${this.#limit}.`)
  }
}

async function limitOf(source: DescriptorSource): Promise<number> {
  return Number(/^Max open files\s+(\d+)/m.exec(await source.limits())?.[1])
}

function warn(fact: string): void {
  const advice =
    'Raise the limit, for example with LimitNOFILE of systemd or ulimit -n, or limit the streams.'
  warnOnce('SPILLWAY_DESCRIPTORS', `${fact} Each stream needs one. ${advice}`)
}

// Clients that connect all at once may use up the descriptors before they are counted. Other errors are ignored, for
// example of a system without these files.
function warnIfExhausted(error: unknown): void {
  if ((error as { code?: unknown }).code === 'EMFILE') warn('The process has no free descriptor.')
}

const files = builtinModule<typeof promises>('node:fs/promises')

/** Watches this process on Linux. */
export const descriptorWatch = new DescriptorWatch(
  files && globalThis.process.platform === 'linux'
    ? {
        limits: () => files.readFile('/proc/self/limits', 'utf8'),
        count: async () => (await files.readdir('/proc/self/fd')).length,
      }
    : undefined,
)
