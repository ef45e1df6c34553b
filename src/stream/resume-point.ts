/** Where a client resumes: after an id, nowhere because it is new, or unknown because it sent an invalid id. */
export type ResumePoint = { readonly id: string } | 'new' | 'unreadable'
