/**
 * The point where a client resumes, which is after `id`. `gapEnd` is the end of a gap after it that is still to be
 * reported. `new`: the client has no position. `unreadable`: the client has sent an invalid id.
 */
export type ResumePoint = { readonly id: string; readonly gapEnd?: string | undefined } | 'new' | 'unreadable'
