/** The URL and the headers of a request. */
export interface Target {
  readonly url: URL
  readonly headers: Headers
}

/** Sets the last event id of a request for a stream. */
export function setLastEventId({ url, headers }: Target, id: string): void {
  // `fetch` rejects control characters in a header, and removes spaces at both ends.
  if (/\p{Cc}|^ | $/u.test(id)) url.searchParams.set('lastEventId', id)
  // [spec] The id is sent as UTF-8, but `fetch` accepts only characters up to U+00FF, one for each byte.
  else if (id) {
    const bytes = Array.from(new TextEncoder().encode(id), (byte) => String.fromCharCode(byte))
    headers.set('last-event-id', bytes.join(''))
  }
}
