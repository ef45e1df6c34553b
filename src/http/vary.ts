/** Returns the value of a `Vary` header with `Accept` added, unless it covers `Accept` already (RFC 9110 12.5.5). */
export function varyOnAccept(vary: unknown): string {
  const fields = String(vary ?? '')
  if (/(^|,)\s*(accept|\*)\s*(,|$)/i.test(fields)) return fields
  return fields ? `${fields}, Accept` : 'Accept'
}
