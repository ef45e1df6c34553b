import { readFile } from 'node:fs/promises'
import { checkHeaderValue, quote, readChoice, readDuration, readHeaders } from '../flag-values.ts'
import { type FlagValues, readFlags } from '../flags.ts'
import { readTargetUrl } from '../target-url.ts'
import { UsageError } from '../usage-error.ts'
import { LEVELS, type Level } from './finding.ts'
import type { ExamineOptions } from './options.ts'

/** The flags of the doctor, in the order of the documentation. */
export const FLAGS = {
  header: 'list',
  cookie: 'text',
  data: 'text',
  origin: 'text',
  insecure: 'switch',
  timeout: 'text',
  compare: 'text',
  json: 'switch',
  'fail-on': 'text',
  explain: 'text',
} as const

const USAGE = 'npx spillway doctor <url>'

/** The lowest level of findings that fails the command, or `never`. */
export type FailOn = Level | 'never'

const FAIL_ON: readonly FailOn[] = [...LEVELS, 'never']

/** An examination as a command line describes it. */
export interface Invocation {
  readonly url: URL
  /** The same endpoint without its proxy. Undefined: only `url` is examined. */
  readonly directUrl: URL | undefined
  readonly options: ExamineOptions
  readonly isJson: boolean
  readonly failOn: FailOn
}

// Headers by which the requests of an examination differ.
const RESERVED: Readonly<Record<string, string>> = {
  accept: 'because the doctor sends several',
  'accept-encoding': 'because the doctor sends several',
  'last-event-id': 'because the doctor sends several',
  'access-control-request-method': 'because the doctor sends several',
  'access-control-request-headers': 'because the doctor sends several',
  origin: 'use --origin',
  connection: 'because it belongs to the connection',
  'content-length': 'because --data has it',
  'transfer-encoding': 'because --data has it',
  'keep-alive': 'because it belongs to the connection',
  upgrade: 'because it belongs to the connection',
  te: 'because it belongs to the connection',
}

/**
 * Reads the arguments of `npx spillway doctor`. Returns the code of `--explain` if it is given. Throws `UsageError`.
 */
export async function readInvocation(args: readonly string[]): Promise<Invocation | { explain: string }> {
  const { flags, positionals } = readFlags(args, FLAGS)
  if (flags.explain !== undefined) return { explain: flags.explain }
  const [url, extra] = positionals
  if (extra !== undefined)
    throw new UsageError(`${quote(extra)} is a second URL. Use --compare to compare two URLs.`)
  return {
    url: readTargetUrl(url, USAGE),
    directUrl: flags.compare === undefined ? undefined : readTargetUrl(flags.compare, USAGE),
    options: await optionsOf(flags),
    isJson: flags.json,
    failOn: readChoice('--fail-on', flags['fail-on'] ?? 'problem', FAIL_ON),
  }
}

async function optionsOf(flags: FlagValues<typeof FLAGS>): Promise<ExamineOptions> {
  const { cookie, data, origin, timeout, insecure } = flags
  const headers = readHeaders('--header', flags.header)
  for (const [name, reason] of Object.entries(RESERVED))
    if (Object.hasOwn(headers, name)) throw new UsageError(`--header cannot set ${name}, ${reason}.`)
  if (cookie !== undefined) checkHeaderValue('--cookie', 'cookie', cookie)
  if (cookie !== undefined && headers.cookie !== undefined)
    throw new UsageError('--header and --cookie both set cookies. Use one of them.')
  return {
    headers,
    cookie,
    data: data === undefined ? undefined : await readData(data),
    origin: origin === undefined ? undefined : readOrigin(origin),
    timeout: timeout === undefined ? undefined : readDuration('--timeout', timeout),
    insecure,
  }
}

/** Returns the body of a request, either the text itself, or the content of the file after `@`. */
async function readData(text: string): Promise<string> {
  if (!text.startsWith('@')) return text
  const name = text.slice(1)
  try {
    return await readFile(name, 'utf8')
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    throw new UsageError(`--data cannot read the file ${quote(name)}${code ? ` (${code})` : ''}.`)
  }
}

function readOrigin(text: string): string {
  const origin = URL.canParse(text) ? new URL(text).origin : 'null'
  if (text === origin && origin !== 'null') return origin
  const hint = origin === 'null' ? 'An origin is such as https://example.org.' : `Write ${origin}.`
  throw new UsageError(`--origin ${quote(text)} is not an origin. ${hint}`)
}
