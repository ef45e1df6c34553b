// JSON escapes C0 only, but a terminal also executes C1, and a bidirectional control changes the order of the text.
const UNSAFE = /[\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]/g

/** Returns a value as JSON that a terminal shows and does not execute. */
export function jsonText(value: object): string {
  const text = JSON.stringify(value, undefined, 2)
  const escaped = text.replace(UNSAFE, (each) => `\\u${each.charCodeAt(0).toString(16).padStart(4, '0')}`)
  return `${escaped}\n`
}
