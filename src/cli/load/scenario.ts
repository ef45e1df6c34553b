import { readFile } from 'node:fs/promises'
import { quote, readHeaders, readPercentage } from '../flag-values.ts'
import { readTargetUrl } from '../target-url.ts'
import { UsageError } from '../usage-error.ts'
import { type LoadOptions, USAGE } from './options.ts'

/** A mix whose host is not resolved yet. */
export interface MixOptions {
  readonly name: string
  readonly url: URL
  readonly headers: Readonly<Record<string, string>>
  /** Relative to the shares of the other mixes. */
  readonly share: number
  readonly slow: number
}

type Fields = Readonly<Record<string, unknown>>

const FIELDS = ['name', 'url', 'share', 'headers', 'slow']

/** Returns the mixes of a run, from its scenario, or a single one. Throws `UsageError` for an invalid file. */
export async function readMixes(options: LoadOptions): Promise<readonly MixOptions[]> {
  const { url, headers, slow, scenario } = options
  if (scenario === undefined) return [{ name: 'all', url, headers, share: 1, slow }]
  return parseScenario(await readText(scenario), scenario, options)
}

/** Parses the text of a scenario. The URL, the headers and the slow fraction of a mix default to the options. */
export function parseScenario(
  text: string,
  file: string,
  options: Pick<LoadOptions, 'url' | 'headers' | 'slow'>,
): readonly MixOptions[] {
  const { mixes, ...others } = Object(parseJson(text, file)) as { mixes?: unknown }
  if (!Array.isArray(mixes) || mixes.length === 0 || mixes.length > 100)
    throw new UsageError(`${file} must be {"mixes": […]} with 1 to 100 mixes.`)
  const [unknown] = Object.keys(others)
  if (unknown !== undefined)
    throw new UsageError(`${file} has an unknown field ${quote(unknown)}. The only field is mixes.`)
  const read = mixes.map((mix: unknown, index) => readMix(mix, `Mix ${index + 1} of ${file}`, options))
  const total = read.reduce((sum, { share }) => sum + share, 0)
  return read.map((mix) => ({ ...mix, share: mix.share / total }))
}

async function readText(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8')
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    throw new UsageError(
      code === 'ENOENT' ? `There is no file ${quote(file)}.` : `${quote(file)} cannot be read (${code}).`,
    )
  }
}

function parseJson(text: string, file: string): unknown {
  try {
    return JSON.parse(text)
  } catch (error) {
    throw new UsageError(`${file} is not JSON: ${(error as Error).message.split('\n')[0]}.`)
  }
}

function readMix(
  value: unknown,
  where: string,
  { url, headers, slow }: Pick<LoadOptions, 'url' | 'headers' | 'slow'>,
): MixOptions {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new UsageError(`${where} must be an object.`)
  const mix = value as Fields
  const unknown = Object.keys(mix).find((name) => !FIELDS.includes(name))
  if (unknown !== undefined)
    throw new UsageError(
      `${where} has an unknown field ${quote(unknown)}. The fields are ${FIELDS.join(', ')}.`,
    )
  return {
    name: textOf(mix, 'name', where) ?? where,
    url: readMixUrl(textOf(mix, 'url', where), url),
    headers: { ...headers, ...headersOf(mix.headers, where) },
    share: shareOf(mix.share, where),
    slow: mix.slow === undefined ? slow : readPercentage(`${where} has slow:`, String(mix.slow)),
  }
}

function readMixUrl(text: string | undefined, url: URL): URL {
  if (text === undefined) return url
  return readTargetUrl(text.startsWith('/') ? new URL(text, url).href : text, USAGE)
}

function textOf(mix: Fields, name: string, where: string): string | undefined {
  const value = mix[name]
  if (value === undefined || (typeof value === 'string' && value !== '')) return value
  throw new UsageError(`${where} has a field ${name} that is not a text.`)
}

function shareOf(value: unknown, where: string): number {
  const share = typeof value === 'string' ? Number(value.replace(/%$/, '') || 'none') : (value ?? 1)
  if (typeof share === 'number' && share > 0 && share <= 1e6) return share
  throw new UsageError(`${where} has a share that is not a positive number or a percentage.`)
}

function headersOf(value: unknown, where: string): Record<string, string> {
  if (value === undefined) return {}
  const isObject = typeof value === 'object' && value !== null && !Array.isArray(value)
  if (!isObject || Object.values(value).some((each) => typeof each !== 'string'))
    throw new UsageError(`${where} has headers that are not texts.`)
  return readHeaders(
    `${where} has a header:`,
    Object.entries(value).map(([name, text]) => `${name}: ${text}`),
  )
}
