/** Returns a key that is unique among the keys of all channels, because the name of a channel has no LF. */
export function scopedKey(channel: string, key: string): string {
  return `${channel}\n${key}`
}
