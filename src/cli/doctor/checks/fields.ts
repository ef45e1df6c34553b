import { quote } from '../../printable.ts'
import { finding } from '../catalog.ts'
import type { Evidence } from '../evidence.ts'
import type { Exchange } from '../exchange.ts'
import { countText } from '../figures.ts'
import { bytesOf, linesOf, textOf } from './body.ts'
import type { Check } from './check.ts'
import { isEventStream } from './headers.ts'

const FIELDS = ['data', 'event', 'id', 'retry']

/** How long lines of data without a blank line must have been arriving, in ms. One event may come in several writes. */
const MIN_UNFINISHED_TIME = 500

export const nulInId: Check = (evidence) => {
  const id = fieldsOf(evidence).find(({ name, value }) => name === 'id' && value.includes('\0'))
  return id ? [finding('nul-in-id', `The id ${quote(id.value)} contains NUL.`)] : []
}

export const badRetry: Check = (evidence) => {
  const retry = fieldsOf(evidence).find(({ name, value }) => name === 'retry' && !/^\d+$/.test(value))
  return retry ? [finding('bad-retry', `The value of retry is ${quote(retry.value)}.`)] : []
}

export const unknownField: Check = (evidence) => {
  const unknown = fieldsOf(evidence, wholeLinesOf).filter(({ name }) => !FIELDS.includes(name))
  const [first] = unknown
  if (first === undefined) return []
  const message = `${countText(unknown.length, 'line')} had no known field, for example ${quote(first.line)}.`
  const hasEvents = evidence.exchanges.main.events.length > 0
  return [finding('unknown-field', message, hasEvents ? 'warning' : 'problem')]
}

export const bom: Check = ({ exchanges: { main } }) => {
  if (!isEventStream(main)) return []
  const text = textOf(main)
  const later = (text.match(/[\r\n]\uFEFF/g) ?? []).length
  if (later > 0)
    return [finding('bom', `${countText(later, 'line')} after the first began with a BOM.`, 'problem')]
  return text.startsWith('\uFEFF') ? [finding('bom', 'The body begins with a BOM.')] : []
}

export const carriageReturn: Check = ({ exchanges: { main } }) => {
  // The last byte may be half of CRLF.
  const returns = isEventStream(main) ? (textOf(main).match(/\r(?!\n|$)/g) ?? []).length : 0
  return returns === 0
    ? []
    : [finding('carriage-return', `${countText(returns, 'line')} ended with CR alone.`)]
}

export const unfinishedBlock: Check = ({ exchanges: { main } }) => {
  const lines = isEventStream(main) ? unfinishedLinesOf(main) : []
  if (lines.length === 0) return []
  if (main.end === 'ended') {
    const message = `The body ended with ${quote(lines.at(-1) ?? '')}, without a blank line after it.`
    return [finding('unfinished-block', message)]
  }
  const time = dataTimeOf(main)
  if (main.events.length > 0 || lines.length < 2 || time < MIN_UNFINISHED_TIME) return []
  const message = `${countText(lines.length, 'line')} arrived within ${Math.floor(time)} ms, and no blank line.`
  return [finding('unfinished-block', message)]
}

/** Returns the lines after the last blank line. A client discards them if no blank line follows. */
function unfinishedLinesOf(main: Exchange): string[] {
  const lines = textOf(main).split(/\r\n|\n|\r/)
  // The text after the last line end is an unfinished line, not a blank one.
  const end = lines.at(-1) === '' ? lines.length - 1 : lines.length
  const block = lines.slice(lines.lastIndexOf('', end - 1) + 1, end)
  return block.filter((line) => /^(data|id)\b/.test(line))
}

/** Returns the time in ms between the first and the last data. */
function dataTimeOf({ arrivals }: Exchange): number {
  const times = arrivals.filter(({ bytes }) => Buffer.from(bytes).includes('data')).map(({ at }) => at)
  return (times.at(-1) ?? 0) - (times[0] ?? 0)
}

export const invalidUtf8: Check = ({ exchanges: { main } }) => {
  if (!isEventStream(main)) return []
  const decoder = new TextDecoder('utf-8', { fatal: true })
  try {
    // The last character of a stream that is open may be incomplete.
    decoder.decode(bytesOf(main), { stream: main.end !== 'ended' })
    return []
  } catch {
    const at = textOf(main).indexOf('\uFFFD')
    const near = textOf(main).slice(Math.max(0, at - 20), at + 20)
    return [finding('invalid-utf-8', `The body contains bytes that are not UTF-8, near ${quote(near)}.`)]
  }
}

interface Field {
  readonly line: string
  readonly name: string
  readonly value: string
}

/** Returns the fields in the body of the stream, without comments and blank lines. */
function fieldsOf({ exchanges: { main } }: Evidence, split = linesOf): Field[] {
  if (!isEventStream(main)) return []
  const lines = split(main).map((line) => line.replace(/^\uFEFF/, ''))
  return lines.filter((line) => line !== '' && !line.startsWith(':')).map(fieldOf)
}

/** Returns the lines without those that follow a lone CR, if other lines end with LF. Such a CR is part of the data. */
function wholeLinesOf(main: Exchange): string[] {
  const parts = textOf(main).split(/\r?\n/)
  if (parts.length === 1) return linesOf(main)
  return parts.slice(0, -1).map((part) => part.split('\r', 1)[0] ?? '')
}

function fieldOf(line: string): Field {
  const colon = line.indexOf(':')
  if (colon < 0) return { line, name: line, value: '' }
  return { line, name: line.slice(0, colon), value: line.slice(colon + 1).replace(/^ /, '') }
}
