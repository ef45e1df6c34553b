/** Returns the candidate that differs from a word by at most two letters, for example `--header` for `--haeder`. */
export function nearMiss(word: string, candidates: readonly string[]): string | undefined {
  // A longer word is not a typing error, and comparing it takes long.
  if (word.length > 40) return undefined
  let nearest: { candidate: string; distance: number } | undefined
  for (const candidate of candidates) {
    const distance = distanceOf(word.toLowerCase(), candidate.toLowerCase())
    if (distance < (nearest?.distance ?? Infinity)) nearest = { candidate, distance }
  }
  return nearest && nearest.distance <= Math.min(2, word.length / 2) ? nearest.candidate : undefined
}

/** Returns how many letters must be inserted, removed or replaced to make one word of the other. */
function distanceOf(from: string, to: string): number {
  let row = Array.from({ length: to.length + 1 }, (_, index) => index)
  for (const [index, letter] of [...from].entries()) {
    const next = [index + 1]
    for (let column = 1; column <= to.length; column++) {
      const replaced = (row[column - 1] ?? 0) + (letter === to[column - 1] ? 0 : 1)
      next.push(Math.min(replaced, (row[column] ?? 0) + 1, (next[column - 1] ?? 0) + 1))
    }
    row = next
  }
  return row[to.length] ?? 0
}
