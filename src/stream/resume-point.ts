/** Where a client says it stopped: at an id, nowhere because it is new, or at what no event of ours can have had. */
export type ResumePoint = { readonly id: string } | 'new' | 'unreadable'
