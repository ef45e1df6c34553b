/** Returns the subject of a channel: the prefix and the name as one token, which `channelOf` decodes. */
export function subjectOf(prefix: string, channel: string): string {
  return `${prefix}.${tokenOf(channel)}`
}

/** Returns the channel of a subject, or an empty string for a subject that `subjectOf` did not make. */
export function channelOf(prefix: string, subject: string): string {
  const token = subject.slice(prefix.length + 1)
  const channel = token.replace(/=([0-9a-f]{4})/g, (_, code) =>
    String.fromCharCode(Number.parseInt(code, 16)),
  )
  return subject === subjectOf(prefix, channel) ? channel : ''
}

/**
 * Returns a name as one token of a subject. Encodes code units, because a name may hold a lone surrogate, which has no
 * bytes in UTF-8.
 */
export function tokenOf(name: string): string {
  return name.replace(/[^\w-]/g, (unit) => `=${unit.charCodeAt(0).toString(16).padStart(4, '0')}`)
}
