/**
 * Returns the header `Last-Event-ID` for an id. Undefined if there is none, because `fetch` rejects control characters in
 * a header, and removes spaces at both ends.
 */
export function headerOf(id: string): string | undefined {
  if (/\p{Cc}|^ | $/u.test(id)) return
  // [spec] The id is sent as UTF-8, but `fetch` accepts only characters up to U+00FF, one for each byte.
  return Array.from(new TextEncoder().encode(id), (byte) => String.fromCharCode(byte)).join('')
}
