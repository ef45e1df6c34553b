const LONGEST = 60

// Control characters, and characters that change the direction of a text or cannot be seen.
const INVISIBLE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu

/** Returns what a server has sent as a short text that is safe in a line of a terminal. */
export function shown(text: string): string {
  const short = text.length > LONGEST ? `${text.slice(0, LONGEST)}…` : text
  return short.replace(INVISIBLE, (character) => `\\u${hexOf(character)}`)
}

/** Returns the same in quotes. */
export function quote(text: string): string {
  return `"${shown(text)}"`
}

function hexOf(character: string): string {
  return (character.codePointAt(0) ?? 0).toString(16).padStart(4, '0')
}
