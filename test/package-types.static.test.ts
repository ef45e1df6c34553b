import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import ts from 'typescript'
import { afterAll, expect, test } from 'vitest'

const root = join(import.meta.dirname, '..')
const { exports, peerDependencies, typesVersions } = JSON.parse(
  readFileSync(join(root, 'package.json'), 'utf8'),
)
const entries = Object.keys(exports).filter((entry) => exports[entry].require)
const folder = mkdtempSync(join(tmpdir(), 'spillway-types-'))

afterAll(() => rmSync(folder, { recursive: true }))

// The package is installed beside the types of Node alone. The declarations of the frameworks would take seconds to
// read, and some do not compile under node10.
install('spillway/package.json', join(root, 'package.json'))
install('spillway/dist', join(root, 'dist'))
for (const name of ['@types/node', 'undici-types']) install(name, join(root, 'node_modules', name))

// Without it, `moduleResolution: node10` finds the root alone, because it does not read `exports`.
test('typesVersions names the declarations of every subpath (rule 48)', () => {
  const subpaths = entries.filter((entry) => entry !== '.')
  const expected = subpaths.map((entry) => [entry.replace('./', ''), [exports[entry].require.types]])
  expect(typesVersions).toEqual({ '*': Object.fromEntries(expected) })
})

const { CommonJS, NodeNext } = ts.ModuleKind
const { Node10, NodeNext: NodeNextResolution } = ts.ModuleResolutionKind

test.each([
  ['program.ts', 'node10', { module: CommonJS, moduleResolution: Node10 }],
  ['program.cts', 'nodenext', { module: NodeNext, moduleResolution: NodeNextResolution }],
  ['program.mts', 'nodenext', { module: NodeNext, moduleResolution: NodeNextResolution }],
])('%s compiles with every entry under moduleResolution %s', (name, _, options) => {
  const imports = entries.map((entry, index) => `import * as entry${index} from '${join('spillway', entry)}'`)
  const names = imports.map((_, index) => `entry${index}`)
  const file = join(folder, name)
  writeFileSync(file, `${imports.join('\n')}\nexport const entries: readonly object[] = [${names}]\n`)
  expect(imports.length).toBeGreaterThan(1)
  expect(errorsOf(file, options)).toEqual([])
})

test.each([
  ['register.ts', { module: CommonJS, moduleResolution: Node10 }],
  ['register.mts', { module: NodeNext, moduleResolution: NodeNextResolution }],
])('%s declares the type of the context once for every entry', (name, options) => {
  const file = join(folder, name)
  const lines = [
    "import { sse } from 'spillway/web'",
    "import type { SseStream } from 'spillway'",
    "declare module 'spillway' { interface Register { context: { userId: string } } }",
    'export const userOf = (stream: SseStream): string => stream.context.userId',
    'export const route = sse((stream) => void userOf(stream), { authorize: () => ({ context: { userId: "ada" } }) })',
    '// @ts-expect-error: the context has no such member.',
    'export const other = sse(() => {}, { authorize: () => ({ context: { user: 1 } }) })',
  ]
  writeFileSync(file, lines.join('\n'))
  expect(errorsOf(file, options)).toEqual([])
})

/** Returns the errors of a program and of the declarations of the package, except that the frameworks are missing. */
function errorsOf(file: string, options: ts.CompilerOptions): string[] {
  const target = ts.ScriptTarget.ES2023
  const program = ts.createProgram([file], { target, strict: true, preserveSymlinks: true, ...options })
  const checked = program
    .getSourceFiles()
    .filter(({ fileName }) => fileName === file || fileName.includes('/spillway/dist/'))
  expect(checked.length).toBeGreaterThan(entries.length)
  return checked
    .flatMap((each) => [...program.getSyntacticDiagnostics(each), ...program.getSemanticDiagnostics(each)])
    .map((each) => `${each.file?.fileName}: ${ts.flattenDiagnosticMessageText(each.messageText, ' ')}`)
    .filter((error) => !Object.keys(peerDependencies).some((name) => error.includes(`find module '${name}`)))
}

function install(name: string, target: string): void {
  const link = join(folder, 'node_modules', name)
  mkdirSync(dirname(link), { recursive: true })
  symlinkSync(target, link)
}
