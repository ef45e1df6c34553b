/** The time and the number of an event, NaN if its data has none. */
export interface Reading {
  /** When the event was created, in ms since 1970, or for a probe in ms of `sharedNow`. */
  readonly time: number
  /** Its position in the sequence. */
  readonly number: number
}

/** The parts of an event to read. */
export interface DataFields {
  /**
   * Path of the time in JSON data, such as `meta.sentAt`. Default: `time`, `t`, `sentAt` and the like, if one is a
   * time.
   */
  readonly time?: string | undefined
  /** Path of the number in JSON data, or `@id` for the id of the event. */
  readonly sequence?: string | undefined
  /** The beginning of the mark of a probe. If it is set, only events with a mark are read. */
  readonly probe?: string | undefined
}

const NOTHING: Reading = { time: Number.NaN, number: Number.NaN }
const GUESSED = ['time', 'timestamp', 't', 'ts', 'sentAt', 'at', 'now', 'date']
const DAY = 86_400_000
/** The year 2001. Earlier times are other numbers, such as those of `performance.now()`. */
const EARLIEST = 1e12

/**
 * Reads times and numbers from events. The streams of a server mostly receive the same event one after another. The
 * last reading is therefore kept, because comparing two texts costs far less than parsing JSON.
 */
export class DataReader {
  readonly #read: (data: string, id: string) => Reading
  #data: string | undefined
  #id = ''
  #reading = NOTHING

  constructor(fields: DataFields) {
    const { probe } = fields
    this.#read = probe === undefined ? readerOf(fields) : (data) => readProbe(data, probe)
  }

  read(data: string, id: string): Reading {
    if (data === this.#data && id === this.#id) return this.#reading
    this.#data = data
    this.#id = id
    this.#reading = this.#read(data, id)
    return this.#reading
  }
}

/** Returns the mark of a probe, of letters, digits, dashes and underscores, which every encoding preserves. */
export function probeMark(prefix: string, number: number, time: number): string {
  return `${prefix}${number}-${Math.round(time * 1000)}_`
}

function readProbe(data: string, prefix: string): Reading {
  const start = data.indexOf(prefix)
  if (start === -1) return NOTHING
  const [, number, time] =
    /^(\d+)-(\d+)_/.exec(data.slice(start + prefix.length, start + prefix.length + 50)) ?? []
  return number === undefined ? NOTHING : { number: toNumber(number), time: Number(time) / 1000 }
}

function readerOf({ time, sequence }: DataFields): (data: string, id: string) => Reading {
  const isId = sequence === '@id'
  return (data, id) => {
    const value = parse(data)
    const number = isId ? id : sequence === undefined ? undefined : valueAt(value, sequence)
    return {
      time: time === undefined ? guessTime(value) : toTime(valueAt(value, time)),
      number: toNumber(number),
    }
  }
}

function parse(data: string): unknown {
  try {
    return JSON.parse(data)
  } catch {
    return undefined
  }
}

/** Returns the value at a path such as `data.time`. A key that contains dots is found too. */
function valueAt(value: unknown, path: string): unknown {
  if (typeof value !== 'object' || value === null) return undefined
  if (Object.hasOwn(value, path)) return (value as Record<string, unknown>)[path]
  const dot = path.indexOf('.')
  if (dot === -1) return undefined
  return valueAt((value as Record<string, unknown>)[path.slice(0, dot)], path.slice(dot + 1))
}

/** Returns the first field that is a time within a day of now, because other numbers may have such names. */
function guessTime(value: unknown): number {
  if (typeof value === 'number') return nearNow(toTime(value))
  const times = GUESSED.map((name) => nearNow(toTime(valueAt(value, name))))
  return times.find((time) => !Number.isNaN(time)) ?? Number.NaN
}

function nearNow(time: number): number {
  return Math.abs(Date.now() - time) < DAY ? time : Number.NaN
}

/** Returns a whole number, from a number or a text of digits, but not from `""` and `true`, as `Number` would. */
function toNumber(value: unknown): number {
  const isNumber = typeof value === 'number' || (typeof value === 'string' && /^-?\d+$/.test(value))
  return isNumber && Number.isSafeInteger(Number(value)) ? Number(value) : Number.NaN
}

/** Returns a time in ms, from a number in seconds, ms, µs or ns, or from a text such as that of `toISOString`. */
function toTime(value: unknown): number {
  const time = timeOf(value)
  return time >= EARLIEST && time < Number.POSITIVE_INFINITY ? time : Number.NaN
}

function timeOf(value: unknown): number {
  if (typeof value === 'string' && value !== '')
    return /^\d+(\.\d+)?$/.test(value) ? timeOf(Number(value)) : Date.parse(value)
  if (typeof value !== 'number') return Number.NaN
  if (value > 1e17) return value / 1e6
  if (value > 1e14) return value / 1000
  return value < 1e11 ? value * 1000 : value
}
