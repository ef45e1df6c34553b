import { execFileSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { isBuiltin } from 'node:module'
import { dirname, join } from 'node:path'
import ts from 'typescript'
import { beforeAll, describe, expect, test } from 'vitest'

const root = join(import.meta.dirname, '..')
const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))

describe('the files of the built package', () => {
  test.each(['esm', 'cjs'])('defines SseStream and SseError once for all entries in %s', (format) => {
    const text = filesOfDist(format, '.js').join('\n')
    expect(text.match(/\bclass SseStream\b/g)).toHaveLength(1)
    expect(text.match(/\bclass SseError\b/g)).toHaveLength(1)
  })

  test.each(['esm', 'cjs'])('has neither down-levelled syntax nor names of source files in %s', (format) => {
    const traces = /_optionalChain|_nullishCoalesce|__name\(|['"]\.[^'"\n]*\.ts['"]/
    const files = [...filesOfDist(format, '.js'), ...filesOfDist(format, '.d.ts')]
    expect(files.filter((text) => traces.test(text))).toEqual([])
  })

  test.each(['esm', 'cjs'])('keeps every import of a builtin in %s, with its prefix', (format) => {
    const modules = readdirSync(join(root, 'dist', format), { recursive: true, encoding: 'utf8' })
    const imports = modules
      .filter((name) => name.endsWith('.js'))
      .map((name) => ({
        name,
        written: builtinsOfSource(readFileSync(join(root, 'src', name.replace(/js$/, 'ts')), 'utf8')),
        built: importsOf(readFileSync(join(root, 'dist', format, name), 'utf8')).filter(isBuiltin),
      }))
    expect(imports.flatMap(({ written }) => written)).toContain('node:events')
    expect(imports.filter(({ written, built }) => String(written) !== String(built))).toEqual([])
  })

  test.each([
    ['esm', '.js'],
    ['cjs', '.js'],
    ['esm', '.d.ts'],
    ['cjs', '.d.ts'],
  ])('imports only its dependency, its optional peers and builtins in %s %s files', (format, ending) => {
    const specifiers = filesOfDist(format, ending).flatMap(importsOf)
    const strange = specifiers
      .filter((name) => !name.startsWith('.') && !isBuiltin(name))
      .filter((name) => !(packageOf(name) in { ...manifest.dependencies, ...manifest.peerDependencies }))
    expect(specifiers.length).toBeGreaterThan(0)
    expect(strange).toEqual([])
  })

  test('declares only what its entries export and what that mentions', () => {
    const isEntry = (path: string) => path.startsWith('./dist/esm/') && path.endsWith('.d.ts')
    const entries = pathsIn(manifest.exports)
      .filter(isEntry)
      .map((path) => readFileSync(join(root, path), 'utf8'))
    const text = filesOfDist('esm', '.d.ts')
      .join('\n')
      .replace(/\/\*[\s\S]*?\*\//g, '')
    const declared = /^(?:export )?(?:declare )?(?:class|const|function|interface|type) (\w+)/gm
    const names = [...text.matchAll(declared)].map(([, name = '']) => name)
    expect(names).toContain('SseStream')
    const unused = names.filter((name) => text.match(new RegExp(`\\b${name}\\b`, 'g'))?.length === 1)
    expect(unused.filter((name) => !entries.join('\n').includes(name))).toEqual([])
  })

  test('declares no member that is marked @internal', () => {
    const internal = internalMembers()
    expect(internal).toContain('_open')
    const declared = filesOfDist('esm', '.d.ts').flatMap((text) => memberNames(parse(text)))
    expect(declared).toContain('lastEventId')
    expect(declared.filter((name) => internal.includes(name) || name.startsWith('_'))).toEqual([])
  })
})

describe('package.json', () => {
  test('names files that exist', () => {
    const files = [...pathsIn(manifest.exports), manifest.main, manifest.module, manifest.types]
    expect(files.filter((file) => !existsSync(join(root, file)))).toEqual([])
  })

  test('lists declarations before code, for `import` and for `require`', () => {
    for (const [entry, conditions] of Object.entries(manifest.exports)) {
      if (typeof conditions === 'string') continue
      const { import: esm, require: cjs } = conditions as Record<string, Record<string, string>>
      expect({ entry, esm: Object.keys(esm ?? {}), cjs: Object.keys(cjs ?? {}) }).toEqual({
        entry,
        esm: ['types', 'default'],
        cjs: ['types', 'default'],
      })
      const [name = ''] = /[\w/-]+(?=\.js$)/.exec(esm?.default?.replace('./dist/esm/', '') ?? '') ?? []
      expect([esm?.types, esm?.default, cjs?.types, cjs?.default]).toEqual([
        `./dist/esm/${name}.d.ts`,
        `./dist/esm/${name}.js`,
        `./dist/cjs/${name}.d.ts`,
        `./dist/cjs/${name}.js`,
      ])
    }
  })
})

describe('the command', () => {
  test('can be executed, and is of Node.js', () => {
    const [file = ''] = pathsIn(manifest.bin).map((each) => join(root, each))
    expect(readFileSync(file, 'utf8')).toMatch(/^#!\/usr\/bin\/env node\n/)
    expect(statSync(file).mode & 0o111).toBe(0o111)
  })

  test('is not loaded by an entry, except the doctor', () => {
    const entries = Object.entries(manifest.exports).filter(([name]) => name !== './doctor')
    const reached = filesReached(entries.flatMap(([, each]) => pathsIn(each)).map((file) => join(root, file)))
    expect([...reached].filter((file) => file.includes('/cli/'))).toEqual([])
  })
})

describe('the published archive', () => {
  let size: number
  let packed: string[]

  beforeAll(() => {
    const [archive] = JSON.parse(npm('pack', '--dry-run', '--json', '--ignore-scripts'))
    size = archive.size
    packed = archive.files.map(({ path }: { path: string }) => path)
  })

  test('is at most 410 kB, without source maps', () => {
    expect(size).toBeLessThanOrEqual(410_000)
    expect(packed.filter((file) => file.endsWith('.map'))).toEqual([])
  })

  test('contains no file that no entry loads', () => {
    const entries = [...pathsIn(manifest.exports), ...pathsIn(manifest.bin)]
    const reached = filesReached(entries.map((file) => join(root, file)))
    const unused = packed.filter((file) => /^dist\/.*\.(js|ts)$/.test(file) && !reached.has(join(root, file)))
    expect(reached.size).toBeGreaterThan(0)
    expect(unused).toEqual([])
  })

  test('contains every file that package.json names, and the licence', () => {
    const named = [...pathsIn(manifest.exports), ...pathsIn(manifest.bin)].map((file) =>
      file.replace('./', ''),
    )
    const wanted = [...named, 'LICENSE', 'CHANGELOG.md']
    expect(wanted.filter((file) => !packed.includes(file))).toEqual([])
  })

  test('contains no other file', () => {
    const expected =
      /^(dist\/(esm|cjs)\/[\w./-]+|schemas\/[\w-]+\.json|docs\/doctor\/[\w-]+\.md|package\.json|README\.md|LICENSE|CHANGELOG\.md)$/
    expect(packed.filter((file) => !expected.test(file))).toEqual([])
  })
})

function npm(...args: string[]): string {
  const stdio = ['ignore', 'pipe', 'ignore'] as const
  return execFileSync('npm', args, { cwd: root, encoding: 'utf8', stdio: [...stdio] })
}

function filesOfDist(format: string, ending: string): string[] {
  const folder = join(root, 'dist', format)
  const names = readdirSync(folder, { recursive: true, encoding: 'utf8' })
  return names.filter((name) => name.endsWith(ending)).map((name) => readFileSync(join(folder, name), 'utf8'))
}

function packageOf(specifier: string): string {
  return /^(@[^/]+\/)?[^/]+/.exec(specifier)?.[0] ?? specifier
}

function importsOf(text: string): string[] {
  return ts.preProcessFile(text, true, true).importedFiles.map(({ fileName }) => fileName)
}

/** Returns the builtins that a source file imports, other than for types alone. */
function builtinsOfSource(text: string): string[] {
  return [...text.matchAll(/^import (?!type )[^'\n]*'(node:[\w/]+)'/gm)].map(([, name = '']) => name)
}

/** Returns files, and all files that these import. */
function filesReached(files: readonly string[], found = new Set<string>()): Set<string> {
  for (const file of files.filter((each) => !found.has(each))) {
    found.add(file)
    const ending = file.endsWith('.d.ts') ? '.d.ts' : '.js'
    const imported = importsOf(readFileSync(file, 'utf8')).filter((name) => name.startsWith('.'))
    filesReached(
      imported.map((name) => join(dirname(file), name.replace(/\.js$/, ending))),
      found,
    )
  }
  return found
}

function internalMembers(): string[] {
  const files = readdirSync(join(root, 'src'), { recursive: true, encoding: 'utf8' })
  const texts = files
    .filter((name) => name.endsWith('.ts'))
    .map((name) => readFileSync(join(root, 'src', name), 'utf8'))
  const isInternal = (node: ts.Node) => ts.getJSDocTags(node).some((tag) => tag.tagName.text === 'internal')
  return texts.flatMap((text) => memberNames(parse(text), isInternal))
}

function parse(text: string): ts.SourceFile {
  return ts.createSourceFile('source.ts', text, ts.ScriptTarget.Latest, true)
}

function memberNames(node: ts.Node, isWanted: (member: ts.Node) => boolean = () => true): string[] {
  const isMember = ts.isClassElement(node) || ts.isTypeElement(node)
  const found = isMember && node.name && isWanted(node) ? [node.name.getText()] : []
  ts.forEachChild(node, (child) => {
    found.push(...memberNames(child, isWanted))
  })
  return found
}

function pathsIn(exports: unknown): string[] {
  return typeof exports === 'string' ? [exports] : Object.values(exports as object).flatMap(pathsIn)
}
