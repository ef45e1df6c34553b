import { between, randomOf } from './random.js'

// The shares of runs whose sources behave in a special way.
const FAILING = 0.1
const LIMITED = 0.15
const STOPPED = 0.2
const SILENT = 0.1
const BURSTY = 0.2
const LARGE = 0.1
const DEAF = 0.3
// The number of events that a limited run keeps.
const MAX_EVENTS = 24
const ALPHABET = 26
const FIRST_LETTER = 97

/** Returns the plan of a run, which is the same in each process. Times are in ms. */
export function planOf(seed, id, lease) {
  const random = randomOf(`${seed} ${id}`)
  const chance = (share) => random() < share
  const length = Math.round(between(random, 20, 150))
  const interval = between(random, 5, 60)
  return {
    id,
    length,
    interval,
    /** The most characters of a token. */
    size: chance(LARGE) ? 6_000 : 40,
    isFailing: chance(FAILING),
    maxEvents: chance(LIMITED) ? MAX_EVENTS : undefined,
    stopAfter: chance(STOPPED) ? random() * length * interval : undefined,
    /** The token before which the source is silent for two leases. */
    silentAt: chance(SILENT) ? Math.ceil(random() * length) : undefined,
    silence: 2 * lease,
    /** How many tokens the source yields at once. */
    burst: chance(BURSTY) ? 10 : 1,
    /** Whether the source ignores its signal, and is closed by `return` only. */
    isDeaf: chance(DEAF),
    /** How many processes start the run at once. */
    starters: 1 + Math.floor(random() * 3),
  }
}

/** Returns a part of the text of a run, for example `1/3:dddd;` for the third one of the first generation. */
export function tokenOf(plan, generation, n) {
  return `${generation}/${n}:${fillOf(plan, n)};`
}

/** Returns the generation and the number of a token, or undefined if it is damaged. */
export function parseToken(plan, token) {
  const [, generation, n, fill] = /^(\d+)\/(\d+):([a-z]*)$/.exec(token) ?? []
  if (fill === undefined || fill !== fillOf(plan, Number(n))) return undefined
  return { generation: Number(generation), n: Number(n) }
}

function fillOf({ size, length }, n) {
  return String.fromCharCode(FIRST_LETTER + (n % ALPHABET)).repeat((n * length) % size)
}
