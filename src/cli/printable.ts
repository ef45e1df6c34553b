// Characters that a terminal executes, that break a line, that change the order of the text, or that are invisible.
const UNSAFE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu

const NAMED: Readonly<Record<string, string>> = { '\n': '\\n', '\r': '\\r', '\t': '\\t' }

/** Returns text of a server as one line that a terminal shows and does not execute. Escape becomes `\u001b`. */
export function printable(text: string, longest = 1000): string {
  const line = text.slice(0, longest + 1).replace(UNSAFE, escaped)
  return line.length > longest ? `${line.slice(0, longest)}…` : line
}

/** Returns text of a server as a short part of a sentence. */
export function excerpt(text: string): string {
  return printable(text, 60)
}

/** Returns an excerpt in quotes. */
export function quote(text: string): string {
  return `"${excerpt(text)}"`
}

function escaped(character: string): string {
  return NAMED[character] ?? `\\u${(character.codePointAt(0) ?? 0).toString(16).padStart(4, '0')}`
}
