import { clientError } from './client-error.ts'
import type { ReceivedEvent } from './engine.ts'

/** Throws `ERR_SSE_LENGTH` for a text of more than 16 MiB characters. */
export function checkLength(text: string): void {
  if (text.length > 2 ** 24) throw clientError('ERR_SSE_LENGTH', 'Too long', { isFinal: true })
}

/**
 * Returns a parser of the text of an event stream that begins after `id`. Chunks may be split anywhere. `onBlock`
 * receives the last event id, and the event if the block has data. `onField` receives the other fields, and comments
 * under an empty name, because they show that the connection is alive.
 */
export function createParser(
  id: string,
  onBlock: (id: string, event?: ReceivedEvent) => void,
  onField: (name: string, value: string) => void,
): (text: string) => void {
  // The beginning of an incomplete line.
  let rest = ''
  let isAfterReturn = false
  let event = ''
  // Each line ends with a line end, so that the text is empty only if there is no data.
  let data = ''
  const readLine = (line: string) => {
    // [spec] One space after the colon is not part of the value.
    const [, name, value] = /^([^:]*):? ?(.*)/s.exec(line) as unknown as [string, string, string]
    if (!line) {
      onBlock(id, data ? { event: event || 'message', id, data: data.slice(0, -1) } : undefined)
      event = data = ''
    } else if (name === 'data') {
      data += `${value}\n`
    } else if (name === 'event') event = value
    // [spec] An id with NUL is ignored.
    else if (name !== 'id') onField(name, value)
    else if (!value.includes('\0')) id = value
  }
  return (text) => {
    if (!text) return
    // Removes the second half of a CRLF that was split.
    rest += isAfterReturn ? text.replace(/^\n/, '') : text
    isAfterReturn = text.endsWith('\r')
    // Does not search `rest` again, which would be quadratic for a long line in small chunks.
    if (/[\r\n]/.test(text)) {
      const lines = rest.split(/\r\n?|\n/)
      rest = lines.pop() as string
      for (const line of lines) readLine(line)
    }
    checkLength(data + rest)
  }
}
