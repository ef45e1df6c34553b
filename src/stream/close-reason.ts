/**
 * Why a stream ended.
 * - `client`: it left.
 * - `server`: `close` or `destroy` was called.
 * - `overflow`: more waited for the client than the bound allows.
 * - `stalled`: its connection took nothing for too long.
 * - `expired`: the stream reached its maximum age.
 * - `replay`: what the client missed could not be sent whole; it resumes from where that stopped.
 * - `error`: `destroy` was called with an error, or the way out broke.
 * - `not-acceptable`: the client does not accept event streams.
 */
export type CloseReason =
  | 'client'
  | 'server'
  | 'overflow'
  | 'stalled'
  | 'expired'
  | 'replay'
  | 'error'
  | 'not-acceptable'
