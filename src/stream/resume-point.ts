/**
 * Where a client resumes: after an id, nowhere because it is new, or unknown because it sent an invalid id. `gapEnd` is the
 * end of a gap after the id that is still to be reported.
 */
export type ResumePoint = { readonly id: string; readonly gapEnd?: string | undefined } | 'new' | 'unreadable'
