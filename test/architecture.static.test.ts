import { readdirSync, readFileSync } from 'node:fs'
import { isBuiltin } from 'node:module'
import { basename, dirname, join } from 'node:path'
import ts from 'typescript'
import { describe, expect, test } from 'vitest'

const root = join(import.meta.dirname, '..')

/**
 * The wings of `src` and what each may import, type imports included. A file may always import its own folder. An entry
 * that ends in `.ts` is a single file; `stores/*` is the files of `stores` itself. A wing may import packages only
 * where its row names them.
 */
const WINGS: Readonly<Record<string, readonly string[]>> = {
  root: [],
  scheduler: ['root'],
  event: ['root'],
  formats: ['root', 'event', 'eventsource-parser'],
  transports: ['root', 'event'],
  stream: ['root', 'scheduler', 'event', 'formats', 'transports/transport.ts'],
  compression: ['root', 'scheduler', 'event', 'transports/transport.ts'],
  lifecycle: ['root', 'scheduler', 'event', 'stream', 'stores/*', 'stores/memory'],
  stores: ['root', 'scheduler', 'event', 'formats'],
  'stores/memory': ['root', 'scheduler', 'event', 'formats', 'stores/*'],
  'stores/broker': ['root', 'scheduler', 'event', 'formats', 'stores/*'],
  'stores/redis': [
    ...['root', 'scheduler', 'event', 'formats', 'stores/*', 'stores/broker', 'stores/memory'],
    ...['stores/redis/runs', 'stores/redis/counts'],
  ],
  'stores/redis/counts': ['root', 'scheduler', 'stores/*', 'stores/broker', 'stores/redis'],
  'stores/redis/runs': ['root', 'scheduler', 'stores/*', 'stores/broker', 'stores/redis'],
  'stores/nats': [
    ...['root', 'scheduler', 'event', 'formats', 'stores/*', 'stores/broker', 'stores/nats/runs'],
    ...['stores/nats/counts', '@nats-io/jetstream'],
  ],
  'stores/nats/counts': [
    'root',
    'scheduler',
    'stores/*',
    'stores/broker',
    'stores/nats',
    '@nats-io/jetstream',
  ],
  'stores/nats/runs': [
    ...['root', 'scheduler', 'event', 'formats', 'stores/*', 'stores/broker', 'stores/nats'],
    '@nats-io/jetstream',
  ],
  hub: ['root', 'scheduler', 'event', 'formats', 'stream', 'lifecycle', 'stores/*', 'stores/memory'],
  runs: ['root', 'scheduler', 'event', 'formats', 'stream', 'lifecycle', 'stores/*', 'stores/memory', 'hub'],
  metrics: ['root', 'stream', 'lifecycle', 'stores/*', 'hub', 'runs', '@opentelemetry/api', 'prom-client'],
  http: ['root', 'scheduler', 'event', 'formats', 'transports', 'compression', 'stream', 'lifecycle'],
  adapters: ['root', 'scheduler', 'event', 'stream', 'lifecycle', 'http', 'express', 'koa', 'next'],
  'adapters/fastify': ['root', 'event', 'stream', 'lifecycle', 'http', 'fastify'],
  testing: ['root', 'scheduler', 'stores', 'testing/targets'],
  'testing/targets': ['root'],
  client: ['event'],
  cli: ['root', 'cli/doctor', 'cli/load'],
  'cli/doctor': ['root', 'cli', 'cli/doctor/catalog', 'cli/doctor/checks', 'cli/doctor/probe'],
  'cli/doctor/catalog': ['cli/doctor'],
  'cli/doctor/probe': ['cli', 'cli/doctor', 'testing'],
  'cli/doctor/checks': ['root', 'cli', 'cli/doctor'],
  'cli/load': ['root', 'cli', 'client', 'testing', 'eventsource-parser'],
  'index.ts': [
    'root',
    'event',
    'formats',
    'stream',
    'lifecycle',
    'stores',
    'stores/memory',
    'hub',
    'runs',
    'metrics',
    'http',
    'transports',
  ],
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

describe('src', () => {
  test('has a row in the table of wings for every folder', () => {
    expect(modules.map(({ name }) => wingOf(name)).filter((wing) => !(wing in WINGS))).toEqual([])
  })

  test('imports only the files and packages that the wing of a file may import', () => {
    const offences = modules.flatMap(({ name, imports }) =>
      imports.filter((each) => !mayImport(name, each)).map(({ specifier }) => `${name} imports ${specifier}`),
    )
    expect(offences).toEqual([])
  })

  test('imports no transport in another one, except the class that it extends', () => {
    const offences = modules
      .filter(({ name }) => wingOf(name) === 'transports')
      .flatMap(({ name, imports }) => imports.map(({ specifier }) => [name, basename(specifier)] as const))
      .filter(([, to]) => modules.some(({ name }) => name === `transports/${to}`) && to !== 'transport.ts')
    expect(offences).toEqual([
      ['transports/node-socket.ts', 'node-response.ts'],
      ['transports/whole-response.ts', 'node-response.ts'],
    ])
  })

  test('has no import cycle', () => {
    expect(modules.map(({ name }) => cycleFrom(name)).filter(Boolean)).toEqual([])
  })

  test('has only exports in every index.ts', () => {
    const index = modules.filter(({ name }) => basename(name) === 'index.ts')
    expect(index.length).toBeGreaterThan(0)
    const others = index.flatMap(({ source }) => source.statements.filter((each) => !isReExport(each)))
    expect(others.map((each) => each.getText())).toEqual([])
  })

  // Comments do not count, because the doc comments that another rule asks for must not push code into a second file.
  test('has no file of more than 250 lines of code', () => {
    const long = modules.map(({ name, source }) => [name, linesOfCode(source)] as const)
    expect(long.filter(([, lines]) => lines > 250)).toEqual([])
  })

  test('has no comment line of more than 120 characters', () => {
    const lines = modules.flatMap(({ name, source }) =>
      source.text.split('\n').map((text, i) => ({ where: `${name}:${i + 1}`, text })),
    )
    const long = lines.filter(({ text }) => text.length > 120 && /^ *(\/\/|\/?\*)/.test(text))
    expect(long.map(({ where }) => where)).toEqual([])
  })

  test('has no function of more than 40 lines', () => {
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

  test('has no file or folder named utils, helpers, types, common or misc', () => {
    const drawers = /(^|[/-])(utils?|helpers?|types|common|misc)([/-]|\.ts$)/
    expect(modules.map(({ name }) => name).filter((name) => drawers.test(name))).toEqual([])
  })
})

function readModule(name: string): Module {
  const text = readFileSync(join(root, 'src', name), 'utf8')
  const source = ts.createSourceFile(name, text, ts.ScriptTarget.Latest, true)
  return { name, source, imports: nodesOf(source).flatMap(importOf) }
}

/** `import { type A }` loads the file all the same: `verbatimModuleSyntax` keeps `import {}`. */
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

/** The folder of a file; a file of the root is `root`, but `index.ts` is its own wing. */
function wingOf(name: string): string {
  const folder = dirname(name)
  if (folder !== '.') return folder
  return name === 'index.ts' ? name : 'root'
}

function mayImport(from: string, { specifier, isTypeOnly }: Import): boolean {
  const allowed = WINGS[wingOf(from)] ?? []
  if (isNodeBuiltin(specifier)) return true
  // A framework is an optional peer: only its types may be imported.
  if (!specifier.startsWith('.'))
    return allowed.includes(packageOf(specifier)) && (isTypeOnly || isLoadable(packageOf(specifier)))
  const to = join(dirname(from), specifier)
  const wing = wingOf(to)
  return (
    wing === wingOf(from) || allowed.includes(wing) || allowed.includes(to) || allowed.includes(`${wing}/*`)
  )
}

// The entries that are made for a package load it.
const LOADED_PEERS = ['@nats-io/jetstream', '@opentelemetry/api', 'prom-client']

/** Whether a package is loaded at run time: a dependency, or a peer that an entry is made for. */
function isLoadable(name: string): boolean {
  const { dependencies = {} } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
  return name in dependencies || LOADED_PEERS.includes(name)
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

/** The number of lines that are neither blank nor a comment. */
function linesOfCode(source: ts.SourceFile): number {
  const lines = source.text.split('\n').map((line) => line.trim())
  return lines.filter((line) => line !== '' && !/^(\/\/|\/\*|\*)/.test(line)).length
}

/** The line of a position in the file, counted from 1. A line break at the end begins no further line. */
function lineOf(source: ts.SourceFile, position: number): number {
  const { line, character } = source.getLineAndCharacterOfPosition(position)
  return character === 0 && position === source.end ? line : line + 1
}
