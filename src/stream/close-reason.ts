/**
 * The reason why a stream was closed.
 * - `client`: the client disconnected, or other code has ended the response.
 * - `server`: `close` or `destroy` was called.
 * - `overflow`: the queue of the client exceeded its limit.
 * - `stalled`: the client read nothing for `stallTimeout`.
 * - `expired`: the stream reached `maxDuration`.
 * - `replay`: the missed events could not all be sent on this connection. The client resumes after the last one.
 * - `error`: `destroy` was called with an error, or the connection failed.
 * - `poll`: the response to a long poll was sent. The client continues with its next request.
 * - `unauthorized`: `authorize` has refused the client, or `expiresAt` has passed.
 * - `capacity`: a limit of streams has refused the client.
 * - `shutdown`: the server shuts down.
 * - `not-acceptable`: the client accepts none of the formats that the route serves.
 */
export type CloseReason =
  | 'client'
  | 'server'
  | 'overflow'
  | 'stalled'
  | 'expired'
  | 'replay'
  | 'error'
  | 'poll'
  | 'unauthorized'
  | 'capacity'
  | 'shutdown'
  | 'not-acceptable'
