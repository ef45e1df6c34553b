import type { promises } from 'node:fs'
import { builtinModule } from '../runtime.ts'
import { warnOnce } from '../warn.ts'

// The part of the limit above which the process is warned.
const NEAR = 0.8
// How often the descriptors are counted until the limit is reached.
const CHECKS = 20

/** Reads what Linux knows of this process. */
export interface DescriptorSource {
  /** Returns the text of `/proc/self/limits`. */
  limits(): Promise<string>
  /** Returns the number of open descriptors. */
  count(): Promise<number>
}

/**
 * Warns once when the process has nearly as many open descriptors as it may. Counts them each time that a twentieth of the
 * limit was opened as streams, so that a stream costs one comparison.
 */
export class DescriptorWatch {
  readonly #source: DescriptorSource | undefined
  #untilCheck = 1

  /** Without a source, it does nothing. */
  constructor(source: DescriptorSource | undefined) {
    this.#source = source
  }

  /** Notes that a stream was opened. */
  onOpen(): void {
    this.#untilCheck -= 1
    if (this.#untilCheck !== 0 || !this.#source) return
    void this.#check(this.#source).catch(warnIfExhausted)
  }

  async #check(source: DescriptorSource): Promise<void> {
    const limit = Number(/^Max open files\s+(\d+)/m.exec(await source.limits())?.[1])
    if (!(limit > 0)) return
    const count = await source.count()
    this.#untilCheck = Math.max(1, Math.floor(limit / CHECKS))
    if (count < limit * NEAR) return
    warn(`The process has ${count} open descriptors and may have ${limit}.`)
  }
}

function warn(fact: string): void {
  const advice =
    'Raise the limit, for example with LimitNOFILE of systemd or ulimit -n, or limit the streams.'
  warnOnce('SPILLWAY_DESCRIPTORS', `${fact} Each stream needs one. ${advice}`)
}

// Clients that connect all at once may use up the descriptors before they are counted. Another system has no such files.
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
