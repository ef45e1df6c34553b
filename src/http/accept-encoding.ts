const ALIASES: Readonly<Record<string, string>> = { 'x-gzip': 'gzip' }

/**
 * Returns the encoding that a client with this `Accept-Encoding` header prefers, or undefined for none (RFC 9110
 * 12.5.3). Of encodings with the same weight, the first one is chosen. An unreadable weight counts as 0.
 */
export function chooseEncoding<Encoding extends string>(
  header: string | null | undefined,
  encodings: readonly Encoding[],
): Encoding | undefined {
  const weights = new Map((header ?? '').split(',').map(readWeight))
  const weightOf = (name: string) => weights.get(name) ?? weights.get('*') ?? 0
  // `identity` is the last choice unless the header names it. `*` does not change that.
  let [best, most] = [undefined as Encoding | undefined, weights.get('identity') ?? 0]
  for (const encoding of encodings) {
    const weight = weightOf(encoding)
    const isBetter = best ? weight > most : weight > 0 && weight >= most
    if (isBetter) [best, most] = [encoding, weight]
  }
  return best
}

// RFC 9110 12.4.2.
const WEIGHT = /^(0(\.\d{0,3})?|1(\.0{0,3})?)$/

function readWeight(item: string): [name: string, weight: number] {
  const [coding = '', parameter] = item.split(';', 2)
  const name = coding.trim().toLowerCase()
  const [, value = '1'] = parameter?.split('=', 2) ?? []
  const text = value.trim()
  return [ALIASES[name] ?? name, WEIGHT.test(text) ? Number(text) : 0]
}
