import { execFile } from 'node:child_process'
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { setImmediate as turn } from 'node:timers/promises'
import ts from 'typescript'
import { describe, expect, onTestFinished, test } from 'vitest'
import * as channels from '../src/diagnostics.ts'
import type { Frame } from '../src/event/frame.ts'
import { resolveOptions, type SseStreamOptions } from '../src/http/options.ts'
import { Hub } from '../src/hub/hub.ts'
import { BrokerStore } from '../src/stores/broker/broker-store.ts'
import type { BrokerDriver, DriverOwner } from '../src/stores/broker/driver.ts'
import type { EventStore } from '../src/stores/event-store.ts'
import { MemoryStore } from '../src/stores/memory/memory-store.ts'
import type { ResumePoint } from '../src/stream/resume-point.ts'
import { SseStream } from '../src/stream/stream.ts'
import type { Transport, TransportOwner } from '../src/transports/transport.ts'
import { logContract } from './stores/contract.ts'

const root = join(import.meta.dirname, '..')
const pages = ['README.md', 'CHANGELOG.md', ...filesIn('docs')]
  .filter((name) => name.endsWith('.md') && existsSync(join(root, name)))
  .map((name) => ({ name, text: readFileSync(join(root, name), 'utf8') }))

describe('docs/errors.md', () => {
  const codes = unionOf('errors.ts', 'SseErrorCode')

  test('has a heading for each error code, and no other heading', () => {
    expect(sectionsOf('docs/errors.md').map(({ heading }) => heading)).toEqual(codes)
  })

  test('describes only error codes that the source uses', () => {
    const source = sourceTexts(({ name }) => name !== 'errors.ts').join('\n')
    expect(codes.filter((code) => !source.includes(`'${code}'`))).toEqual([])
  })

  // No example can cause the failure of a broker.
  const causable = sectionsOf('docs/errors.md').filter(({ heading }) => heading !== 'ERR_SSE_STORE')

  test.each(causable)('shows an example that causes $heading', async ({ heading, text }) => {
    const [example] = blocksOf({ name: heading, text })
    expect(await outputOf(example?.code ?? '')).toContain(`code: '${heading}'`)
  })
})

describe('docs/metrics.md', () => {
  const documented = sectionsOf('docs/metrics.md').filter(({ heading }) => heading.startsWith('spillway:'))
  const names = Object.values(channels).map(({ name }) => String(name))

  test('has a heading for each diagnostics channel, and for no other', () => {
    expect(documented.map(({ heading }) => heading)).toEqual(names)
  })

  test('lists the fields of each message, and no other', async () => {
    const messages = await messagesOfEachChannel(names)
    const fields = documented.map(({ heading, text }) => [heading, rowsOf(text, 'field').map(nameOf).sort()])
    expect(fields).toEqual(names.map((name) => [name, Object.keys(messages.get(name) ?? {}).sort()]))
  })

  test('explains each close reason, and no other', () => {
    const text = documented.map((section) => section.text).join('\n')
    expect(rowsOf(text, 'reason').map(nameOf)).toEqual(unionOf('close-reason.ts', 'CloseReason'))
  })
})

describe('docs/options.md', () => {
  const [table = ''] = pageOf('docs/options.md').split('\n## ')

  test('has a row for each option, in the order of the interface, and for no other', () => {
    expect(rowsOf(table, 'name').map(nameOf)).toEqual(membersOf('options.ts', 'SseStreamOptions'))
  })

  test('gives the default of each option', () => {
    const defaults = Object.entries(resolveOptions(undefined))
    const expected = Object.fromEntries(defaults.map(([name, value]) => [name, inWords(value)]))
    const given = rowsOf(table, 'name').map(([name = '', , value]) => [bare(name), value])
    expect(Object.fromEntries(given)).toEqual(expected)
  })

  test('explains each value of `overflow`, and no other', () => {
    expect(rowsOf(pageOf('docs/options.md'), 'value').map(nameOf)).toEqual(unionOf('backlog.ts', 'Overflow'))
  })

  test('has a row for each field of a rate limit, and for no other', async () => {
    const fields = rowsOf(pageOf('docs/options.md'), 'field').map(nameOf)
    expect(fields).toEqual(membersOf('pace.ts', 'RateLimit'))
    expect(fields).toEqual(await namesThatAreChecked(() => resolveOptions({ rateLimit: UNKNOWN })))
  })
})

describe('docs/hub.md', () => {
  const stream = streamThrough(new NarrowWay(true), {})
  const tables: Array<[heading: string, file: string, type: string, take?: () => unknown]> = [
    ['Hub', 'hub.ts', 'HubOptions', () => new Hub(UNKNOWN)],
    ['Channel', 'channel.ts', 'ChannelOptions', () => new Hub().channel('a', UNKNOWN)],
    ['Publishing', 'channel.ts', 'PublishOptions'],
    ['Following', 'subscription.ts', 'SubscribeOptions', () => new Hub().subscribe(stream, ['a'], UNKNOWN)],
    ['The memory log', 'logs/memory.ts', 'MemoryLogOptions', () => new MemoryStore(UNKNOWN)],
    ['Shutdown', 'hub.ts', 'ShutdownOptions', () => new Hub().shutdown(UNKNOWN)],
  ]
  const tableOf = (heading: string) =>
    rowsOf(sectionsOf('docs/hub.md').find((section) => section.heading === heading)?.text ?? '', 'name')

  test.each(tables)(
    'has a row under %s for each option, and for no other',
    async (heading, file, type, take) => {
      const documented = tableOf(heading).map(nameOf)
      expect(documented).toEqual(membersOf(file, type))
      if (take) expect(documented).toEqual(await namesThatAreChecked(take))
    },
  )

  test.each(tables.filter(([, file, type]) => defaultsIn(file, type).size > 0))(
    'gives under %s the defaults of the comments in the source',
    (heading, file, type) => {
      const given = tableOf(heading).map(([name = '', , value = '']) => [
        bare(name),
        bare(value).replaceAll("'", ''),
      ])
      const inCode = defaultsIn(file, type)
      expect(given.filter(([name = '']) => inCode.has(name))).toEqual([...inCode])
    },
  )

  test('gives the bounds of the memory log', async () => {
    const bounds = Object.fromEntries(
      tableOf('The memory log').map(([name = '', , value = '']) => [
        bare(name),
        Number(value.replace(/\D/g, '')),
      ]),
    )
    const { maxEvents = 0, maxBytes = 0 } = bounds
    expect(await keptOf(maxEvents + 1, 1)).toBe(maxEvents)
    expect(await keptOf(maxBytes / 2 ** 20 + 1, 2 ** 20 - 100)).toBe(maxBytes / 2 ** 20)
  })

  const [example] = blocksOf({ name: 'docs/hub.md', text: pageOf('docs/hub.md') }).filter(
    ({ mark }) => mark === 'log',
  )
  logContract('the log of docs/hub.md', () => openLogOf(example?.code ?? ''))
})

describe('the links', () => {
  test.each(pages)('of $name lead to pages and headings that exist', ({ name, text }) => {
    const targets = [...text.matchAll(/\]\((?!\w+:)([^)\s]+)\)/g)].map((match) => match[1] ?? '')
    expect(targets.filter((target) => !leadsSomewhere(name, target))).toEqual([])
  })
})

describe('the code blocks', () => {
  test('have no type errors with the declarations of the package', () => {
    expect(problemsIn(pages.flatMap(blocksOf))).toEqual([])
  })

  test('have type errors when an option, a type or a name is wrong', () => {
    const text = [
      ...['```ts', `import { encode } from 'spillway'`, `encode({ data: '', retry: 'soon' })`, '```'],
      ...['```js', `import { nothing } from 'spillway'`, 'document.title', '```'],
      ...['<!-- browser -->', '```js', 'document.title', '```'],
      ...['<!-- fragment -->', '```js', 'this is left out', '```'],
    ].join('\n')
    expect(problemsIn(blocksOf({ name: 'docs/sample.md', text })).map((each) => each.split(' ')[0])).toEqual([
      'docs/sample.md:3',
      'docs/sample.md:6',
      'docs/sample.md:7',
    ])
  })
})

describe('the examples that listen', () => {
  const blocks = pages.filter(({ name }) => name !== 'docs/errors.md').flatMap(blocksOf)
  const listens = ({ code }: Block) => /\blisten\(3000\)|\bport: 3000\b/.test(code)
  const needsBroker = ({ code }: Block) => /'spillway\/(redis|nats)'/.test(code)
  const servers = blocks.filter((block) => !block.mark && listens(block) && !needsBroker(block))

  test.concurrent.each(servers)('of $page, line $line, respond with a stream', async (block) => {
    expect(await answerOf(block)).toEqual({ status: 200, type: 'text/event-stream; charset=utf-8' })
  })

  test('fail the test when they throw', async () => {
    const answer = await answerOf({ language: 'js', code: `throw new Error('broken')\nserver.listen(3000)` })
    expect(answer).toContain('broken')
  })
})

// --- Pages

function filesIn(folder: string): string[] {
  return readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' }).map((name) =>
    join(folder, name),
  )
}

interface Page {
  readonly name: string
  readonly text: string
}

interface Block {
  readonly page: string
  /** The line before its first, counted from 1. */
  readonly line: number
  readonly language: string
  /** `fragment`: not checked. `browser`: checked with the globals of a browser. `log`: an `EventLog`. */
  readonly mark: string | undefined
  readonly code: string
}

function pageOf(name: string): string {
  return pages.find((page) => page.name === name)?.text ?? ''
}

function sectionsOf(name: string): Array<{ heading: string; text: string }> {
  const sections = pageOf(name).split(/^## /m).slice(1)
  return sections.map((text) => ({ heading: text.slice(0, text.indexOf('\n')), text }))
}

function blocksOf({ name, text }: Page): Block[] {
  const fences = /(?:^[ \t]*<!-- (\w+) -->\n+)?^([ \t]*)```(js|ts)\b.*\n([\s\S]*?)^\2```$/gm
  return [...text.matchAll(fences)].map((match) => {
    const [whole, mark, , language = '', code = ''] = match
    const before = text.slice(0, match.index) + whole.slice(0, whole.indexOf('```'))
    return { page: name, line: before.split('\n').length, language, mark, code }
  })
}

/** The rows of the tables whose first column has this title, as cells. */
function rowsOf(text: string, title: string): string[][] {
  const tables = text.split(/\n\n+/).filter((part) => part.startsWith('|'))
  const rows = tables.map((table) => table.trim().split('\n').map(cellsOf))
  return rows.filter(([head]) => head?.[0] === title).flatMap(([, , ...body]) => body)
}

function cellsOf(row: string): string[] {
  return row
    .split('|')
    .slice(1, -1)
    .map((cell) => cell.trim())
}

function nameOf([cell = '']: string[]): string {
  return bare(cell)
}

function bare(cell: string): string {
  return cell.replaceAll('`', '')
}

function leadsSomewhere(from: string, target: string): boolean {
  const [path = '', anchor] = target.split('#')
  const file = path === '' ? join(root, from) : join(root, dirname(from), path)
  if (!existsSync(file)) return false
  const headings = file.endsWith('.md') ? readFileSync(file, 'utf8').match(/^#+ .*$/gm) : []
  return anchor === undefined || (headings ?? []).some((heading) => anchorOf(heading) === anchor)
}

function anchorOf(heading: string): string {
  const text = heading.replace(/^#+ /, '').toLowerCase()
  return text.replace(/[^\p{L}\p{N} _-]/gu, '').replaceAll(' ', '-')
}

/** A default as the table has it. */
function inWords(value: unknown): string {
  if (value === undefined) return 'none'
  if (value === JSON.stringify) return '`JSON.stringify`'
  if (typeof value === 'number') return `\`${String(value).replace(/\B(?=(\d{3})+$)/g, ' ')}\``
  return typeof value === 'string' ? `\`'${value}'\`` : `\`${JSON.stringify(value)}\``
}

// --- Sources

function sourceTexts(isWanted: (file: { name: string }) => boolean): string[] {
  const names = readdirSync(join(root, 'src'), { recursive: true, encoding: 'utf8' })
  const files = names.filter((name) => name.endsWith('.ts') && isWanted({ name }))
  return files.map((name) => readFileSync(join(root, 'src', name), 'utf8'))
}

function declarationIn(file: string, name: string): ts.Statement | undefined {
  const text = readFileSync(join(root, 'src', file), 'utf8')
  const { statements } = ts.createSourceFile(file, text, ts.ScriptTarget.Latest, true)
  return statements.find(
    (each) => (ts.isTypeAliasDeclaration(each) || ts.isInterfaceDeclaration(each)) && each.name.text === name,
  )
}

/** The strings of a union type, in their order. */
function unionOf(file: string, name: string): string[] {
  const declaration = declarationIn(file, name)
  if (!declaration || !ts.isTypeAliasDeclaration(declaration) || !ts.isUnionTypeNode(declaration.type)) {
    throw new Error(`${file} has no union ${name}`)
  }
  return declaration.type.types.map((type) => type.getText().slice(1, -1))
}

/** The members of an interface, in their order, those that it inherits first. */
function membersOf(file: string, name: string): string[] {
  const { members, heritageClauses = [] } = interfaceIn(file, name)
  const bases = heritageClauses.flatMap(({ types }) => types.map((type) => type.expression.getText()))
  const inherited = bases.flatMap((base) => membersOf(file, base))
  return [...inherited, ...members.map((member) => member.name?.getText() ?? '')]
}

/** What the comments on the members of an interface end in, when it is `Default ….` */
function defaultsIn(file: string, name: string): Map<string, string> {
  const defaults = new Map<string, string>()
  for (const member of interfaceIn(file, name).members) {
    const [, value] =
      /Default:? (.+)\.\s*\*\/$/.exec(member.getFullText().split('*/')[0]?.concat('*/') ?? '') ?? []
    if (value) defaults.set(member.name?.getText() ?? '', bare(value).replaceAll("'", ''))
  }
  return defaults
}

function interfaceIn(file: string, name: string): ts.InterfaceDeclaration {
  const declaration = declarationIn(file, name)
  if (declaration && ts.isInterfaceDeclaration(declaration)) return declaration
  throw new Error(`${file} has no interface ${name}`)
}

const UNKNOWN = { nonsense: 1 } as object

/** The names that an error for an option which there is not tells of. */
async function namesThatAreChecked(take: () => unknown): Promise<string[]> {
  const message = await Promise.resolve().then(take).then(String, String)
  return /Known options: (.*)\.$/.exec(message)?.[1]?.split(', ') ?? []
}

// --- Examples

/** Runs an example beside package.json, and asks its server once if it has one. Returns what it wrote to stderr. */
function outputOf(example: string): Promise<string> {
  const ask = `.listen(0, function () {
    fetch('http://127.0.0.1:' + this.address().port, { headers: { 'Last-Event-ID': '1' } })
      .then((response) => response.text(), () => {})
      .finally(() => this.close().closeAllConnections())
  })`
  const args = ['--input-type=module', '--eval', example.replace('.listen(3000)', ask)]
  return new Promise((resolve) => {
    execFile(process.execPath, args, { cwd: root, timeout: 30_000 }, (_, __, stderr) => resolve(stderr))
  })
}

// Listens on any free port, whatever an example says, and is asked once: then it is over.
const ASKED_ONCE = `
import net from 'node:net'
const { listen } = net.Server.prototype
net.Server.prototype.listen = function (...args) {
  this.once('listening', async () => {
    const { status, headers } = await fetch('http://127.0.0.1:' + this.address().port + process.env.ASKED_PATH)
    process.stdout.write('\\n' + JSON.stringify({ status, type: headers.get('content-type') }))
    process.exit()
  })
  return listen.call(this, 0, '127.0.0.1', ...args.filter((each) => typeof each === 'function'))
}`

/** What the server of an example answers on its first path, or what it wrote to stderr before that. */
function answerOf({ language, code }: Pick<Block, 'language' | 'code'>): Promise<unknown> {
  const [, path = '/'] = /\.(?:get|all|use)\(\s*'(\/[^':]*)'/.exec(code) ?? []
  const preload = `data:text/javascript,${encodeURIComponent(ASKED_ONCE)}`
  const args = [
    '--import',
    preload,
    '--input-type=module',
    '--eval',
    language === 'ts' ? asScript(code) : code,
  ]
  const env = { ...process.env, ASKED_PATH: path }
  return new Promise((resolve) => {
    execFile(process.execPath, args, { cwd: root, env, timeout: 30_000 }, (error, stdout, stderr) => {
      resolve(error ? stderr : JSON.parse(stdout.slice(stdout.lastIndexOf('\n'))))
    })
  })
}

/** TypeScript without its types. */
function asScript(code: string): string {
  const { ES2022: target } = ts.ScriptTarget
  return ts.transpileModule(code, { compilerOptions: { target, module: ts.ModuleKind.ESNext } }).outputText
}

/** How many of some events the memory log keeps. */
async function keptOf(count: number, size: number): Promise<number> {
  const log = new MemoryStore()
  const hub = new Hub({ store: log })
  const data = 'x'.repeat(size)
  const ids: string[] = [log.position]
  for (let i = 0; i < count; i++) ids.push(await hub.channel('a').publish({ data }))
  const oldest = ids.findIndex((id) => log.read(['a'], id, 1) !== 'gap')
  return count - oldest
}

/** The log that an example exports. */
async function openLogOf(example: string): Promise<EventStore> {
  const module: Record<string, new () => EventStore> = await import(
    `data:text/javascript,${encodeURIComponent(asScript(example))}`
  )
  const [Log] = Object.values(module)
  if (!Log) throw new Error('The example exports no log.')
  return new Log()
}

/**
 * What is published when a client falls behind, catches up and leaves, when another comes back from nowhere, and when
 * a broker is found that holds something strange.
 */
async function messagesOfEachChannel(names: readonly string[]): Promise<Map<string, object>> {
  const messages = new Map<string, object>()
  const take = (message: unknown, name: string | symbol) => void messages.set(String(name), message as object)
  for (const name of names) subscribe(name, take)
  onTestFinished(() => {
    for (const name of names) unsubscribe(name, take)
  })

  const way = new NarrowWay()
  const slow = streamThrough(way, { overflow: 'drop-newest', maxBufferedEvents: 1 })
  slow.send({ data: 'taken, and no more' })
  await turn()
  slow.send({ data: 'waits' })
  slow.send({ data: 'dropped' })
  way.widen()
  slow.destroy()

  const back = streamThrough(new NarrowWay(true), { replay: () => 'gap' }, { id: 'lost' })
  await back.drained()
  back.destroy()

  const log = new BrokerStore(new StrangeBroker(), { recentEvents: 1, recentBytes: 1, publishTimeout: 1 })
  new Hub({ store: log })
  await log.close()
  return messages
}

/** A broker in whose log another program has written. */
class StrangeBroker implements BrokerDriver {
  async open(owner: DriverOwner): Promise<string> {
    owner._onState('ready')
    owner._onEntries([{ id: '1', channel: 'a', record: 'strange' }])
    return '1'
  }

  append = async () => ''
  range = async () => 'gap' as const
  isId = () => false
  compare = () => 0
  async close(): Promise<void> {}
}

/** A way out that is full from the first write on, until it is widened. */
class NarrowWay implements Transport {
  #owner: TransportOwner | undefined
  #isWide: boolean

  constructor(isWide = false) {
    this.#isWide = isWide
  }

  open(owner: TransportOwner): void {
    this.#owner = owner
  }

  bytesOf(frame: Frame): Buffer {
    return frame.payload
  }

  write(): boolean {
    return this.#isWide
  }

  widen(): void {
    this.#isWide = true
    this.#owner?._drained()
  }

  probe(): void {}

  end(): void {}

  destroy(): void {}
}

function streamThrough(way: Transport, options: SseStreamOptions, position: ResumePoint = 'new'): SseStream {
  return SseStream._open(way, resolveOptions(options), position)
}

// --- Type-checking

/** Checks the blocks as files that lie beside their page, so that `spillway` is this package. */
function problemsIn(blocks: readonly Block[]): string[] {
  const checked = blocks.filter(({ mark }) => mark !== 'fragment')
  const inBrowser = checked.filter(({ mark }) => mark === 'browser')
  const inNode = checked.filter(({ mark }) => mark !== 'browser')
  const browser = { lib: ['lib.es2023.d.ts', 'lib.dom.d.ts'], types: [] }
  return [...check(inNode, {}), ...check(inBrowser, browser)]
}

function check(blocks: readonly Block[], place: ts.CompilerOptions): string[] {
  if (blocks.length === 0) return []
  const byFile = new Map(blocks.map((block) => [fileOf(block), block]))
  const options = { ...strictOptions(), ...place }
  const host = ts.createCompilerHost(options)
  const { fileExists, readFile } = host
  host.fileExists = (file) => byFile.has(file) || fileExists(file)
  host.readFile = (file) => byFile.get(file)?.code ?? readFile(file)
  const program = ts.createProgram([...byFile.keys()], options, host)
  return ts.getPreEmitDiagnostics(program).map((diagnostic) => describeProblem(diagnostic, byFile))
}

function fileOf({ page, line, language }: Block): string {
  return `${join(root, page)}.${line}.${language}`
}

/** The rules of the project, and unused names: an example may define what it does not call. */
function strictOptions(): ts.CompilerOptions {
  const { config } = ts.readConfigFile(join(root, 'tsconfig.json'), ts.sys.readFile)
  const { options } = ts.parseJsonConfigFileContent(
    { ...config, include: [], files: ['src/index.ts'] },
    ts.sys,
    root,
  )
  const moduleDetection = ts.ModuleDetectionKind.Force
  return { ...options, moduleDetection, noUnusedLocals: false, noUnusedParameters: false }
}

function describeProblem({ file, start, messageText }: ts.Diagnostic, blocks: Map<string, Block>): string {
  const message = ts.flattenDiagnosticMessageText(messageText, ' ')
  const block = file && blocks.get(file.fileName)
  if (!file || !block) return `${file ? relative(root, file.fileName) : 'options'} ${message}`
  return `${block.page}:${block.line + file.getLineAndCharacterOfPosition(start ?? 0).line + 1} ${message}`
}
