import { expect, test } from 'vitest'
import { DataReader, probeMark } from '../../../src/cli/load/data-reader.ts'

const NOW = Date.now()

test.each([
  ['a path', { time: 'meta.sentAt' }, `{"meta":{"sentAt":${NOW}}}`],
  ['a key that contains a dot', { time: 'meta.sentAt' }, `{"meta.sentAt":${NOW}}`],
  ['microseconds', { time: 't' }, `{"t":${NOW * 1000}}`],
  ['nanoseconds', { time: 't' }, `{"t":${NOW}000000}`],
  ['seconds with a fraction', { time: 't' }, `{"t":${NOW / 1000}}`],
  ['a text of ISO 8601', { time: 't' }, JSON.stringify({ t: new Date(NOW) })],
  ['digits as a text', { time: 't' }, `{"t":"${NOW}"}`],
  ['no path, and a usual name', {}, `{"t":5,"sentAt":${NOW}}`],
  ['no path, and data that is a number', {}, `${NOW}`],
])('reads the time with %s', (_, fields, data) => {
  expect(new DataReader(fields).read(data, '').time).toBeCloseTo(NOW, 2)
})

test.each([
  ['data that is not JSON', { time: 't', sequence: 'n' }, 'hello'],
  ['a path that is missing', { time: 'a.b.c', sequence: 'x' }, '{"a":null}'],
  ['numbers that are neither a time near now nor named', {}, '{"time":17,"n":3}'],
  ['a number that is not whole', { sequence: 'n' }, '{"n":1.5}'],
  ['values that are not numbers, although `Number` converts them', { sequence: 'n' }, '{"n":""}'],
  ['a boolean', { sequence: 'n' }, '{"n":true}'],
  ['an empty list', { sequence: 'n' }, '{"n":[]}'],
  ['a number in another base', { sequence: 'n' }, '{"n":"0x10"}'],
  ['a time since the start of a process', { time: 't' }, '{"t":5000.25}'],
  ['a time that is negative or infinite', { time: 't', sequence: 't' }, '{"t":-1e999}'],
  ['an inherited property', { time: 'constructor', sequence: '__proto__' }, '{}'],
])('reads nothing from %s', (_, fields, data) => {
  expect(new DataReader(fields).read(data, '')).toEqual({ time: Number.NaN, number: Number.NaN })
})

test('reads the number at a path, and from the id of the event', () => {
  expect(new DataReader({ sequence: 'a.n' }).read('{"a":{"n":"12"}}', '').number).toBe(12)
  const byId = new DataReader({ sequence: '@id' })
  expect([byId.read('x', '7').number, byId.read('x', '8').number, byId.read('x', '').number]).toEqual([
    7,
    8,
    Number.NaN,
  ])
})

test('reads no number from an id that only looks like one', () => {
  const byId = new DataReader({ sequence: '@id' })
  for (const id of [' ', '1e3', '0x10', '7-0']) expect(byId.read('x', id).number).toBeNaN()
})

test('reads the number and the time of a probe wherever its mark is', () => {
  const reader = new DataReader({ probe: 'spillway-ab-' })
  const mark = probeMark('spillway-ab-', 12, NOW + 0.25)
  expect(reader.read(JSON.stringify({ text: JSON.stringify({ mark }) }), '')).toEqual({
    number: 12,
    time: NOW + 0.25,
  })
  expect(reader.read(`{"mark":"${probeMark('spillway-cd-', 1, NOW)}"}`, '').number).toBeNaN()
})
