/**
 * Sets the parameters of a request that have a value, and the id after which the response begins. A stream has the id
 * in a header if possible. A poll has it in the URL, because caches distinguish requests by their URL.
 */
export function setTarget(
  url: URL,
  headers: Headers,
  id: string,
  parameters: { readonly [name: string]: string | false | undefined },
): void {
  // `fetch` rejects control characters in a header, and removes spaces at both ends.
  const isInUrl = parameters.format || /\p{Cc}|^ | $/u.test(id)
  // [spec] The id is sent as UTF-8, but `fetch` accepts only characters up to U+00FF, one for each byte.
  const bytes = Array.from(new TextEncoder().encode(id), (byte) => String.fromCharCode(byte))
  if (id && !isInUrl) headers.set('last-event-id', bytes.join(''))
  for (const [name, value] of Object.entries({ ...parameters, lastEventId: isInUrl && id }))
    if (value) url.searchParams.set(name, value)
}
