import { createHash } from 'node:crypto'

/** Returns a function that returns numbers from 0 to 1, the same ones for the same text. */
export function randomOf(text) {
  let count = 0
  return () => {
    count += 1
    return createHash('sha256').update(`${text} ${count}`).digest().readUInt32BE() / 2 ** 32
  }
}

/** Returns a number between two limits. */
export function between(random, min, max) {
  return min + random() * (max - min)
}
