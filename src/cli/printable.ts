// Control characters, which a terminal executes, and characters that break a line or reverse the order of the text.
const UNSAFE = /[\p{Cc}\p{Zl}\p{Zp}\u061c\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff\p{Cs}]/gu

/** Returns text of a server as one line that a terminal shows and does not execute. Escape becomes `\x1b`. */
export function printable(text: string, longest = 1000): string {
  const line = text.slice(0, longest + 1).replace(UNSAFE, escaped)
  return line.length > longest ? `${line.slice(0, longest)}…` : line
}

function escaped(character: string): string {
  const code = character.charCodeAt(0)
  if (character === '\n') return '\\n'
  if (character === '\r') return '\\r'
  if (character === '\t') return '\\t'
  return code < 0x100
    ? `\\x${code.toString(16).padStart(2, '0')}`
    : `\\u${code.toString(16).padStart(4, '0')}`
}
