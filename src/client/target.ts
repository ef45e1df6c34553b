/**
 * Sets the parameters of a request that have a value, and the id after which the response begins. A stream has the id in
 * a header if possible. A poll has it in the URL, because caches distinguish requests by their URL.
 */
export function setTarget(
  url: URL,
  headers: Headers,
  id: string,
  parameters: { readonly [name: string]: string | false | undefined },
): void {
  const header = parameters.format ? undefined : headerOf(id)
  if (header) headers.set('last-event-id', header)
  for (const [name, value] of Object.entries({ ...parameters, lastEventId: !header && id }))
    if (value) url.searchParams.set(name, value)
}

/**
 * Returns the header `Last-Event-ID` for an id. Undefined if there is none, because `fetch` rejects control characters in
 * a header, and removes spaces at both ends.
 */
function headerOf(id: string): string | undefined {
  if (/\p{Cc}|^ | $/u.test(id)) return
  // [spec] The id is sent as UTF-8, but `fetch` accepts only characters up to U+00FF, one for each byte.
  return Array.from(new TextEncoder().encode(id), (byte) => String.fromCharCode(byte)).join('')
}
