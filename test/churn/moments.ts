/** When a client disconnects, as the number of bytes that it has received, or of ms after its request. */
export interface Moment {
  readonly name: string
  readonly path: string
  readonly isReplayed: boolean
  /** Whether the client reads nothing. */
  readonly isLagging: boolean
  readonly bytes: number
  readonly ms: number
}

export type Random = () => number

/**
 * Returns a function that returns numbers from 0 to 1, the same ones for the same seed (a linear congruential
 * generator).
 */
export function randomOf(seed: number): Random {
  let state = seed >>> 0
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return state / 2 ** 32
  }
}

export function integer(random: Random, min: number, max: number): number {
  return min + Math.floor(random() * (max - min + 1))
}

export function oneOf<T>(random: Random, values: readonly T[]): T {
  return values[Math.floor(random() * values.length)] as T
}

const DEFAULTS = { path: '/', isReplayed: false, isLagging: false, bytes: Number.POSITIVE_INFINITY }

// The response headers are about 300 bytes, the log 400 kB, and a block 600 kB.
const MOMENTS: Record<string, (random: Random) => Partial<Moment>> = {
  'at once': () => ({ ms: 0 }),
  'before the response headers': (random) => ({ path: `/?wait=${integer(random, 1, 8)}`, ms: random() * 8 }),
  'in the response headers': (random) => ({ bytes: integer(random, 1, 250) }),
  'in the first block': (random) => ({ path: '/?block', bytes: integer(random, 300, 500_000) }),
  'in a replay': (random) => ({ isReplayed: true, bytes: integer(random, 300, 300_000) }),
  'while it waits for events': (random) => ({ ms: random() * 30 }),
  'while lagging': (random) => ({ path: '/?block', isLagging: true, ms: random() * 40 }),
  'while lagging in a replay': (random) => ({ isReplayed: true, isLagging: true, ms: random() * 40 }),
}

export function randomMoment(random: Random): Moment {
  const name = oneOf(random, Object.keys(MOMENTS))
  return { name, ...DEFAULTS, ms: 150, ...MOMENTS[name]?.(random) }
}
