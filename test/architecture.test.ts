import { readdirSync, readFileSync } from 'node:fs'
import { isBuiltin } from 'node:module'
import { basename, dirname, join } from 'node:path'
import ts from 'typescript'
import { expect, test } from 'vitest'

const root = join(import.meta.dirname, '..')

/**
 * Imports run one way: a file loads files of its own layer and of those before it. A new file gets its place here.
 * Type-only imports are free, because nothing of them is left at run time.
 */
const LAYERS: ReadonlyArray<readonly [layer: string, files: RegExp]> = [
  [
    'vocabulary',
    /^(event|errors|connection-owner|check-options|ring|waiters|close-reason|diagnostics|clock|deadlines|turn|transports\/transport|logs\/event-log|formats\/format)\.ts$/,
  ],
  ['encoding', /^(encode|frame|frame-queue|backlog|pace|source|options|negotiate)\.ts$/],
  ['stream', /^(connection|gap|replay|stream)\.ts$/],
  ['remote logs', /^remote\/([\w-]+\/)?[\w-]+\.ts$/],
  ['logs and formats', /^(logs|formats)\/([\w-]+\/)?[\w-]+\.ts$/],
  ['channels', /^(audience|channel|filter|first-after|hub|subscription|handler)\.ts$/],
  ['ways out', /^transports\/[\w-]+\.ts$/],
  ['ways in', /^(answer-request|check-re\w+|create-[\w-]+|refuse)\.ts$/],
  [
    'doors',
    /^(index|redis|nats|adapters\/([\w-]+\/)?[\w-]+|doctor\/[\w-]+|client\/[\w-]+|testing\/[\w-]+)\.ts$/,
  ],
]

/**
 * A seam is a folder with its interface; the other files in it are implementations. One that is large has its parts in
 * a folder of its own name.
 */
const SEAMS: Readonly<Record<string, string>> = {
  transports: 'transports/transport.ts',
  logs: 'logs/event-log.ts',
  formats: 'formats/format.ts',
}

interface Import {
  readonly specifier: string
  readonly isTypeOnly: boolean
}

interface Module {
  readonly name: string
  readonly source: ts.SourceFile
  readonly imports: readonly Import[]
}

const modules = readdirSync(join(root, 'src'), { recursive: true, encoding: 'utf8' })
  .filter((name) => name.endsWith('.ts'))
  .map(readModule)

const loads = new Map(modules.map((module) => [module.name, filesLoadedBy(module)]))

test('every file of src has a place in the layers', () => {
  expect(modules.map(({ name }) => name).filter((name) => layerOf(name) === -1)).toEqual([])
})

test('a file loads only files of its own layer and of those before it', () => {
  const offences = edges().filter(([from, to]) => layerOf(to) > layerOf(from))
  expect(offences).toEqual([])
})

test('an implementation of a seam loads its parts, its interface and the vocabulary, and no other implementation', () => {
  // What logs of brokers have in common, and what a broker's logs share.
  const isCommon = (name: string) => name.startsWith('remote/')
  const isOwn = (from: string, to: string) => implementationOf(from) === implementationOf(to)
  const offences = edges().filter(
    ([from, to]) => implementationOf(from) && layerOf(to) > 0 && !isOwn(from, to) && !isCommon(to),
  )
  expect(offences).toEqual([])
})

test('the parts of an implementation are loaded by it alone', () => {
  const isPart = (name: string) => implementationOf(name) === dirname(name)
  const offences = edges().filter(([from, to]) => isPart(to) && implementationOf(from) !== dirname(to))
  expect(offences).toEqual([])
})

test('of the logs a hub loads the default one, and nothing else loads any', () => {
  const isLog = (name: string) => implementationOf(name)?.startsWith('logs/')
  const loaders = edges().filter(
    ([from, to]) => isLog(to) && !isLog(from) && layerOf(from) < layerOf('index.ts'),
  )
  expect(loaders).toEqual([['hub.ts', 'logs/memory.ts']])
})

test('no file loads itself through others', () => {
  expect(modules.map(({ name }) => cycleFrom(name)).filter(Boolean)).toEqual([])
})

test('index only exports', () => {
  const index = modules.filter(({ name }) => basename(name) === 'index.ts')
  expect(index.length).toBeGreaterThan(0)
  const others = index.flatMap(({ source }) => source.statements.filter((each) => !isReExport(each)))
  expect(others.map((each) => each.getText())).toEqual([])
})

test('index loads no adapter, no broker, no doctor and no client', () => {
  const apart = /^(adapters|doctor|client)\/|^logs\/(redis|jetstream)/
  expect([...reachableFrom('index.ts')].filter((name) => apart.test(name))).toEqual([])
})

test('only dependencies and builtins of Node, by their node: name, are loaded, and peers by doors of their own', () => {
  const { dependencies, peerDependencies } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
  const allowed = (name: string) =>
    name !== 'index.ts' && layerOf(name) === layerOf('index.ts')
      ? { ...dependencies, ...peerDependencies }
      : dependencies
  const strange = modules.flatMap(({ name, imports }) =>
    imports
      .filter(({ specifier, isTypeOnly }) => !isTypeOnly && !specifier.startsWith('.'))
      .filter(({ specifier }) => !isNodeBuiltin(specifier) && !(packageOf(specifier) in allowed(name)))
      .map(({ specifier }) => `${name} loads ${specifier}`),
  )
  expect(strange).toEqual([])
})

test('no file is longer than 250 lines', () => {
  const long = modules.map(({ name, source }) => [name, lineOf(source, source.end)] as const)
  expect(long.filter(([, lines]) => lines > 250)).toEqual([])
})

test('no function is longer than 40 lines', () => {
  const long = modules.flatMap(({ name, source }) =>
    functionsIn(source)
      .map((each) => {
        const [first, last] = [lineOf(source, each.getStart()), lineOf(source, each.end)]
        return { where: `${name}:${first}`, lines: last - first + 1 }
      })
      .filter(({ lines }) => lines > 40),
  )
  expect(long).toEqual([])
})

test('no file is a drawer for what has no name', () => {
  const drawers = /(^|[/-])(utils?|helpers?|types|common|misc)([/-]|\.ts$)/
  expect(modules.map(({ name }) => name).filter((name) => drawers.test(name))).toEqual([])
})

function readModule(name: string): Module {
  const text = readFileSync(join(root, 'src', name), 'utf8')
  const source = ts.createSourceFile(name, text, ts.ScriptTarget.Latest, true)
  return { name, source, imports: nodesOf(source).flatMap(importOf) }
}

/** `import { type A }` loads the file all the same: `verbatimModuleSyntax` leaves `import {}` of it. */
function importOf(node: ts.Node): Import[] {
  if (ts.isImportDeclaration(node)) {
    return [{ specifier: textOf(node.moduleSpecifier), isTypeOnly: node.importClause?.isTypeOnly ?? false }]
  }
  if (ts.isExportDeclaration(node) && node.moduleSpecifier) {
    return [{ specifier: textOf(node.moduleSpecifier), isTypeOnly: node.isTypeOnly }]
  }
  const isCall = ts.isCallExpression(node) && /^(import|require)$/.test(node.expression.getText())
  return isCall ? [{ specifier: textOf(node.arguments[0]), isTypeOnly: false }] : []
}

function textOf(node: ts.Node | undefined): string {
  return node && ts.isStringLiteralLike(node) ? node.text : `what ${node?.getText()} says`
}

function filesLoadedBy({ name, imports }: Module): string[] {
  return imports
    .filter(({ specifier, isTypeOnly }) => !isTypeOnly && specifier.startsWith('.'))
    .map(({ specifier }) => join(dirname(name), specifier))
}

function edges(): Array<readonly [from: string, to: string]> {
  return [...loads].flatMap(([from, targets]) => targets.map((to) => [from, to] as const))
}

function layerOf(name: string): number {
  return LAYERS.findIndex(([, files]) => files.test(name))
}

/** Without the ending: `logs/memory` is of `logs/memory.ts` and of what lies in `logs/memory`. */
function implementationOf(name: string): string | undefined {
  const [seam = '', implementation] = name.replace(/\.ts$/, '').split('/')
  const contract = SEAMS[seam]
  return contract === undefined || contract === name ? undefined : `${seam}/${implementation}`
}

function reachableFrom(name: string, seen = new Set<string>()): Set<string> {
  for (const next of loads.get(name) ?? []) {
    if (seen.has(next)) continue
    seen.add(next)
    reachableFrom(next, seen)
  }
  return seen
}

/** The name of a file that is reachable from itself. */
function cycleFrom(name: string): string | undefined {
  return reachableFrom(name).has(name) ? name : undefined
}

function isReExport(statement: ts.Statement): boolean {
  return ts.isExportDeclaration(statement) && statement.moduleSpecifier !== undefined
}

function isNodeBuiltin(specifier: string): boolean {
  return specifier.startsWith('node:') && isBuiltin(specifier)
}

function packageOf(specifier: string): string {
  return specifier
    .split('/')
    .slice(0, specifier.startsWith('@') ? 2 : 1)
    .join('/')
}

function nodesOf(node: ts.Node): ts.Node[] {
  const nodes: ts.Node[] = [node]
  ts.forEachChild(node, (child) => {
    nodes.push(...nodesOf(child))
  })
  return nodes
}

function functionsIn(source: ts.SourceFile): ts.Node[] {
  return nodesOf(source).filter((node) => ts.isFunctionLike(node) && 'body' in node && node.body)
}

/** The line of a place in the file, counted from 1. A line break at the end begins no further line. */
function lineOf(source: ts.SourceFile, position: number): number {
  const { line, character } = source.getLineAndCharacterOfPosition(position)
  return character === 0 && position === source.end ? line : line + 1
}
