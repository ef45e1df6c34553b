import type { ServerResponse } from 'node:http'
import { isWhole, MAX_TIME } from '../check-options.ts'
import { SseError } from '../errors.ts'
import type { NodeResponse } from '../transports/node-response.ts'
import { checkResponse } from './check-response.ts'
import { dropLength, endWith, preamble, streamHeaders } from './head.ts'

/** How a client is sent away. */
export type Refusal =
  /** With 204 a client stops, which is no failure; any other status but 200 is one, and an `EventSource` gives up. */
  | { readonly status: number }
  /** It comes back after this time in ms, or up to twice this: when there is no room, or the server drains. */
  | { readonly retry: number }

/**
 * Answers a client that gets no stream: `{ status: 204 }` to stop, `{ status: 403 }` to fail for good,
 * `{ retry: 30_000 }` to come back later (a bare 503 would end an `EventSource` for good).
 *
 * Throws `SseError`: `ERR_SSE_OPTION`, and for the response as `createSseStream` does.
 */
export function refuseSseStream(response: NodeResponse, refusal: Refusal): void {
  const { status, retry } = Object(refusal) as { status?: number; retry?: number }
  checkResponse(response)
  if (isWhole(retry, 1, MAX_TIME)) {
    ;(response as ServerResponse).writeHead(200, streamHeaders(response, {}))
    endWith(response, preamble(retry))
  } else if (isWhole(status, 201, 599)) {
    dropLength(response)
    response.writeHead(status)
    response.end()
  } else {
    throw new SseError(
      'ERR_SSE_OPTION',
      'A refusal is { status } from 201 to 599, or { retry } in milliseconds.',
    )
  }
}
