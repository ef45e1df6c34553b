import { parseArgs } from 'node:util'

/** @type {NonNullable<import('node:util').ParseArgsConfig['options']>} */
const OPTIONS = {
  // `bare` is `node:http` with `response.write`.
  server: { type: 'string', default: 'spillway' },
  minutes: { type: 'string', default: '60' },
  streams: { type: 'string', default: '10000' },
  // The number of clients that disconnect and reconnect per second.
  churn: { type: 'string', default: '20' },
  // The number of clients that do not read for 10 to 90 s, again and again. Each is sent an event of `--large` bytes a
  // second.
  slow: { type: 'string', default: '100' },
  large: { type: 'string', default: '65536' },
  // The number of streams that are opened per second.
  rate: { type: 'string', default: '500' },
  // The time between two samples, in seconds.
  interval: { type: 'string', default: '5' },
  // The folder of the samples and the plots.
  out: { type: 'string', default: 'soak/out' },
  // Passed to Node.js of the server, for example `--node=--max-semi-space-size=1`.
  node: { type: 'string', multiple: true, default: [] },
}
const SERVERS = ['spillway', 'bare']

/**
 * Returns the options of a soak. Throws an `Error` for a wrong one.
 *
 * @param {string[]} args
 */
export function readOptions(args) {
  const { values } = parseArgs({ args, options: OPTIONS })
  const { server, out, node: nodeFlags } = values
  if (!SERVERS.includes(String(server))) throw new Error(`--server must be one of ${SERVERS.join(', ')}.`)
  /** @param {string} name */
  const positive = (name) => numberOf(name, String(values[name]), 'above 0')
  /** @param {string} name */
  const optional = (name) => numberOf(name, String(values[name]), 'of at least 0')
  const [streams, slow] = [positive('streams'), optional('slow')]
  if (slow >= streams) throw new Error('--slow must be less than --streams.')
  const time = { minutes: positive('minutes'), interval: positive('interval') }
  // Otherwise the store would keep large events that no client is sent.
  const large = slow === 0 ? 0 : optional('large')
  return {
    server,
    ...time,
    streams,
    churn: optional('churn'),
    slow,
    large,
    rate: positive('rate'),
    out,
    nodeFlags,
  }
}

/**
 * @param {string} name
 * @param {string} text
 * @param {'above 0' | 'of at least 0'} range
 */
function numberOf(name, text, range) {
  const number = Number(text)
  if (text !== '' && Number.isFinite(number) && (number > 0 || (number === 0 && range !== 'above 0')))
    return number
  throw new Error(`--${name} must be a number ${range}, not "${text}".`)
}
