/** The subject of a channel: the prefix, and the name as one token that NATS takes and that can be read back. */
export function subjectOf(prefix: string, channel: string): string {
  return `${prefix}.${tokenOf(channel)}`
}

/** The channel of a subject. Empty, which no channel is, for what another program made up. */
export function channelOf(prefix: string, subject: string): string {
  const token = subject.slice(prefix.length + 1)
  const channel = token.replace(/=([0-9a-f]{4})/g, (_, code) =>
    String.fromCharCode(Number.parseInt(code, 16)),
  )
  return subject === subjectOf(prefix, channel) ? channel : ''
}

// By code units: half of a pair is in a name too, and has no bytes of its own.
function tokenOf(channel: string): string {
  return channel.replace(/[^\w-]/g, (unit) => `=${unit.charCodeAt(0).toString(16).padStart(4, '0')}`)
}
