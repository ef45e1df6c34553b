/**
 * Types that an application declares once for all its streams:
 *
 * ```ts
 * import type {} from 'spillway'
 *
 * declare module 'spillway' {
 *   interface Register {
 *     context: { userId: string }
 *   }
 * }
 * ```
 */
// biome-ignore lint/suspicious/noEmptyInterface: applications add members to it.
export interface Register {}

/**
 * The data of an application about the client of a stream, for example a user id. Its type is declared in `Register`.
 */
export type SseContext = Register extends { readonly context: infer Context }
  ? Context
  : Readonly<Record<string, unknown>>

/** The context of a stream that was given none. */
export const NO_CONTEXT = Object.freeze({}) as SseContext
