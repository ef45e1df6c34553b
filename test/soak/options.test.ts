import { expect, test } from 'vitest'
import { readOptions } from '../../soak/options.js'

test('a soak holds 10 000 streams for an hour by default', () => {
  expect(readOptions([])).toMatchObject({ server: 'spillway', minutes: 60, streams: 10_000, churn: 20 })
})

test('a soak has options, also for Node.js of the server', () => {
  const args = [
    '--server',
    'bare',
    '--minutes',
    '0.5',
    '--churn',
    '0',
    '--node=--expose-gc',
    '--node=--trace-gc',
  ]
  expect(readOptions(args)).toMatchObject({
    ...{ server: 'bare', minutes: 0.5, churn: 0 },
    nodeFlags: ['--expose-gc', '--trace-gc'],
  })
})

test('a soak without slow clients publishes no large events', () => {
  expect(readOptions(['--slow', '0']).large).toBe(0)
})

test.each([
  [['--server', 'other'], '--server must be one of spillway, bare.'],
  [['--minutes', '0'], '--minutes must be a number above 0, not "0".'],
  [['--streams', 'many'], '--streams must be a number above 0, not "many".'],
  [['--churn', ''], '--churn must be a number of at least 0, not "".'],
  [['--streams', '10', '--slow', '10'], '--slow must be less than --streams.'],
  [['--nonsense'], "Unknown option '--nonsense'"],
])('a soak rejects %s', (args, message) => {
  expect(() => readOptions(args)).toThrow(message)
})
