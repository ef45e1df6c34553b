import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import * as source from '../src/index.ts'

const root = join(import.meta.dirname, '..')
const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
const names = Object.keys(source).sort()

describe('the built package', () => {
  test('exports the same names to `import` and `require` as the source does', () => {
    const imported = run('module', `console.log(JSON.stringify(Object.keys(await import('spillway'))))`)
    const required = run('commonjs', `console.log(JSON.stringify(Object.keys(require('spillway'))))`)
    expect({ imported: imported.sort(), required: required.sort() }).toEqual({
      imported: names,
      required: names,
    })
  })

  test.each(['module', 'commonjs'] as const)('keeps the names of its classes for a %s', (type) => {
    const load = type === 'module' ? `await import('spillway')` : `require('spillway')`
    const classes = run(
      type,
      `const exported = Object.entries(${load}).filter(([, each]) => String(each).startsWith('class '))
       console.log(JSON.stringify(exported.map(([name, each]) => name + ' is ' + each.name)))`,
    )
    expect(classes).toContain('SseStream is SseStream')
    expect(classes.filter((each) => !/^(\w+) is \1$/.test(each))).toEqual([])
  })

  // From Node 22 on, an import of node:http loads node:http2 itself, so it is loaded first.
  test.each(['module', 'commonjs'] as const)('loads no HTTP/2, threads or processes for a %s', (type) => {
    const load = type === 'module' ? 'await import' : 'require'
    const loaded = run(
      type,
      `${load}('node:http')
       const before = new Set(process.moduleLoadList)
       ${load}('spillway')
       console.log(JSON.stringify(process.moduleLoadList.filter((each) => !before.has(each))))`,
    )
    expect(loaded.filter((each) => /http2|quic|child_process|worker|cluster|inspector/.test(each))).toEqual(
      [],
    )
  })

  test('loads one package, which parses event streams, and no package for an adapter', () => {
    const load = ['', '/express', '/fastify', '/koa', '/next', '/web', '/testing', '/redis'].map((entry) => {
      const files: string[] = run(
        'commonjs',
        `require('spillway${entry}'); console.log(JSON.stringify(Object.keys(require.cache)))`,
      )
      expect(files.filter((file) => file.startsWith(join(root, 'dist')))).not.toEqual([])
      return [entry, files.filter((file) => !file.startsWith(join(root, 'dist')))]
    })
    const parser = join(root, 'node_modules/eventsource-parser/dist/index.cjs')
    expect(load.filter(([, files]) => files?.length)).toEqual([['', [parser]]])
    expect(Object.keys(manifest.dependencies)).toEqual(['eventsource-parser'])
  })

  test('adds no globals, keeps no process alive and declares that it has no side effects', () => {
    const added = run(
      'module',
      `const before = Object.getOwnPropertyNames(globalThis)
       await import('spillway')
       const after = Object.getOwnPropertyNames(globalThis)
       console.log(JSON.stringify(after.filter((each) => !before.includes(each))))`,
    )
    expect({ added, declared: manifest.sideEffects }).toEqual({ added: [], declared: false })
  })
})

/** Runs a program beside package.json, so that `spillway` is this package. Returns its output. */
function run(type: 'module' | 'commonjs', program: string): string[] {
  const options = { cwd: root, encoding: 'utf8', timeout: 30_000 } as const
  return JSON.parse(execFileSync(process.execPath, [`--input-type=${type}`, '--eval', program], options))
}
