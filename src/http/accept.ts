// `text/event-stream` with its parameters.
const NAMED = /(?:^|,)\s*text\/event-stream\s*(?=[;,]|$)[^,]*/gi

// RFC 9110 12.4.2: the weight of a type that is not acceptable.
const REFUSED = /;\s*q\s*=\s*0(\.0*)?\s*(;|$)/i

/**
 * True if a stream is the response to a request with this `Accept` header. If the header names `text/event-stream`, the
 * weight decides. Otherwise the stream is sent unless `negotiate` is set. Wildcards are ignored, because `fetch`, axios
 * and the navigation of a browser send them.
 */
export function acceptsEventStream(accept: string | null | undefined, negotiate: boolean): boolean {
  const named = accept?.match(NAMED)
  return named ? named.some((range) => !REFUSED.test(range)) : !negotiate
}
