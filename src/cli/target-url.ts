import { quote } from './flag-values.ts'
import { nearMiss } from './near-miss.ts'
import { UsageError } from './usage-error.ts'

const LOCAL = /^(localhost|127\.|\[::1\]|0\.0\.0\.0)/i

/**
 * Reads the URL of an endpoint. `usage` is the command with its URL, for example `npx spillway doctor <url>`.
 *
 * Throws `UsageError` if it is missing, or not an HTTP URL.
 */
export function readTargetUrl(text: string | undefined, usage: string): URL {
  if (text === undefined || text === '') throw new UsageError(`No URL was given. Usage: ${usage}`)
  const [, scheme = ''] = /^([a-z][a-z\d+.-]*):\/\//i.exec(text) ?? []
  if (scheme === '' && !/^https?:/i.test(text)) throw new UsageError(withoutScheme(text))
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (scheme !== '' && !/^https?$/i.test(scheme)) throw new UsageError(otherScheme(text, scheme))
  if (!url) throw new UsageError(`${quote(text)} is not a URL.`)
  if (url.username !== '' || url.password !== '')
    // The message does not quote the URL, because it contains a password.
    throw new UsageError('The URL has a user name. Use a header such as Authorization: Basic … instead.')
  url.hash = ''
  return url
}

function withoutScheme(text: string): string {
  const completed = `${LOCAL.test(text) ? 'http' : 'https'}://${text.replace(/^\/+/, '')}`
  const isComplete = /^[^\s/]/.test(text) && URL.canParse(completed)
  if (!isComplete) return `${quote(text)} is not a URL. It must begin with http:// or https://.`
  return `${quote(text)} has no protocol. Write ${completed}`
}

function otherScheme(text: string, scheme: string): string {
  if (/^wss?$/i.test(scheme))
    return `${quote(text)} is a WebSocket. Event streams have a URL that begins with http:// or https://.`
  const near = nearMiss(scheme, ['https', 'http'])
  const hint = near ? `Did you mean ${near}://?` : 'The URL must begin with http:// or https://.'
  return `The protocol ${scheme}:// is not supported. ${hint}`
}
