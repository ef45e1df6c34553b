import type { Check } from '../../check-options.ts'

export const isStreamName: Check = (name) =>
  typeof name === 'string' && /^[\w-]{1,255}$/.test(name)
    ? undefined
    : 'a name of 1 to 255 letters, digits, _ and -'

// A leading `$` is reserved for the server's own subjects.
export const isSubjectPrefix: Check = (prefix) =>
  typeof prefix === 'string' && prefix.length <= 255 && /^[\w-][\w$-]*(\.[\w$-]+)*$/.test(prefix)
    ? undefined
    : 'names of letters, digits, _, - and $ with dots between them, of at most 255 characters'
