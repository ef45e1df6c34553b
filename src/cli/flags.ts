import { parseArgs } from 'node:util'
import { nearMiss } from './near-miss.ts'
import { UsageError } from './usage-error.ts'

/** The kind of a flag. `text` has a value, `switch` has none, and `list` has a value for each repetition. */
export type FlagKind = 'text' | 'switch' | 'list'

/** The flags of a command by name, without the dashes. */
export type FlagTable = Readonly<Record<string, FlagKind>>

/** The values of flags. A text is undefined if its flag is missing. */
export type FlagValues<Table extends FlagTable> = {
  readonly [Name in keyof Table]: {
    text: string | undefined
    switch: boolean
    list: readonly string[]
  }[Table[Name]]
}

export interface CommandLine<Table extends FlagTable> {
  readonly flags: FlagValues<Table>
  readonly positionals: readonly string[]
}

/** The flags of every command, which `main` reads. */
const COMMON_FLAGS = { help: 'switch', h: 'switch', 'no-color': 'switch' } as const satisfies FlagTable

interface Token {
  readonly name: string
  readonly rawName: string
  readonly value: string | undefined
  readonly inlineValue: boolean | undefined
}

/** Reads the arguments of a command. Throws `UsageError` for a flag that is unknown, repeated or lacks its value. */
export function readFlags<const Table extends FlagTable>(
  args: readonly string[],
  table: Table,
): CommandLine<Table> {
  const kinds: FlagTable = { ...table, ...COMMON_FLAGS }
  const { tokens, positionals } = parseArgs({
    args: [...args],
    options: Object.fromEntries(
      Object.entries(kinds).map(([name, kind]) => [name, { type: kind === 'switch' ? 'boolean' : 'string' }]),
    ),
    // `parseArgs` otherwise throws errors of several lines.
    strict: false,
    tokens: true,
    allowPositionals: true,
  })
  const given: Record<string, string[]> = {}
  for (const token of tokens) if (token.kind === 'option') addTo(given, token, kinds)
  return { flags: valuesOf(given, table), positionals }
}

function addTo(given: Record<string, string[]>, token: Token, kinds: FlagTable): void {
  const { name, rawName, value, inlineValue } = token
  const kind = Object.hasOwn(kinds, name) ? kinds[name] : undefined
  if (!kind) throw new UsageError(unknownFlag(rawName, Object.keys(kinds)))
  const values = given[name] ?? []
  given[name] = values
  if (kind === 'switch') {
    if (value !== undefined) throw new UsageError(`${rawName} has no value.`)
  } else if (value === undefined || value === '') {
    throw new UsageError(`${rawName} needs a value.`)
  } else if (!inlineValue && value.startsWith('-')) {
    throw new UsageError(
      `${rawName} needs a value. Write ${rawName}=${value} if the value begins with a dash.`,
    )
  }
  if (kind === 'text' && values.length > 0) throw new UsageError(`${rawName} was given twice.`)
  values.push(value ?? '')
}

function unknownFlag(rawName: string, names: readonly string[]): string {
  const known = names.filter((name) => name.length > 1).map((name) => `--${name}`)
  const near = nearMiss(rawName, known)
  return `Unknown flag ${rawName}.${near ? ` Did you mean ${near}?` : ' --help shows the flags.'}`
}

function valuesOf<Table extends FlagTable>(
  given: Readonly<Record<string, string[]>>,
  table: Table,
): FlagValues<Table> {
  const values = Object.entries(table).map(([name, kind]) => {
    const texts = given[name]
    if (kind === 'switch') return [name, texts !== undefined]
    return [name, kind === 'list' ? (texts ?? []) : texts?.[0]]
  })
  return Object.fromEntries(values)
}
