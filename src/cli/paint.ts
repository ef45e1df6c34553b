const CODES = {
  bold: [1, 22],
  dim: [2, 22],
  red: [31, 39],
  green: [32, 39],
  yellow: [33, 39],
  cyan: [36, 39],
} as const

/** Functions that return a text in a colour, or unchanged if colours are disabled. */
export type Paint = Readonly<Record<keyof typeof CODES, (text: string) => string>>

/** Returns the colours of a terminal. */
export function paintFor({ hasColor }: { readonly hasColor: boolean }): Paint {
  const paints = Object.entries(CODES).map(([name, [on, off]]) => [
    name,
    hasColor ? (text: string) => `\x1b[${on}m${text}\x1b[${off}m` : (text: string) => text,
  ])
  return Object.fromEntries(paints)
}
