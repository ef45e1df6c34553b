/** Returns the value of a `Vary` header with a field added, unless it covers the field already (RFC 9110 12.5.5). */
export function varyOn(vary: unknown, field: string): string {
  const fields = String(vary ?? '')
  const present = fields.split(',').map((each) => each.trim().toLowerCase())
  if (present.includes('*') || present.includes(field.toLowerCase())) return fields
  return fields ? `${fields}, ${field}` : field
}

/** Returns the same for the header `Accept`. */
export function varyOnAccept(vary: unknown): string {
  return varyOn(vary, 'Accept')
}
