import { join, relative } from 'node:path'
import ts from 'typescript'
import { type Block, root } from './pages.ts'

/** Returns the type errors of blocks. Each is checked as a file beside its page, so that `spillway` is this package. */
export function typeErrorsOf(blocks: readonly Block[]): string[] {
  const checked = blocks.filter(({ mark }) => mark !== 'fragment')
  const inBrowser = checked.filter(({ mark }) => mark === 'browser')
  const inNode = checked.filter(({ mark }) => mark !== 'browser')
  const browser = { lib: ['lib.es2023.d.ts', 'lib.dom.d.ts'], types: [] }
  return [...check(inNode, {}), ...check(inBrowser, browser)]
}

/** Returns TypeScript without its types. */
export function toJavaScript(code: string): string {
  const { ES2022: target } = ts.ScriptTarget
  return ts.transpileModule(code, { compilerOptions: { target, module: ts.ModuleKind.ESNext } }).outputText
}

function check(blocks: readonly Block[], environment: ts.CompilerOptions): string[] {
  if (blocks.length === 0) return []
  const byFile = new Map(blocks.map((block) => [fileOf(block), block]))
  const options = { ...strictOptions(), ...environment }
  const host = ts.createCompilerHost(options)
  const { fileExists, readFile } = host
  host.fileExists = (file) => byFile.has(file) || fileExists(file)
  host.readFile = (file) => byFile.get(file)?.code ?? readFile(file)
  const program = ts.createProgram([...byFile.keys()], options, host)
  return ts.getPreEmitDiagnostics(program).map((diagnostic) => toText(diagnostic, byFile))
}

function fileOf({ page, line, language }: Block): string {
  return `${join(root, page)}.${line}.${language}`
}

// The options of the project, except that a block may declare names that it does not use.
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

function toText({ file, start, messageText }: ts.Diagnostic, blocks: Map<string, Block>): string {
  const message = ts.flattenDiagnosticMessageText(messageText, ' ')
  const block = file && blocks.get(file.fileName)
  if (!file || !block) return `${file ? relative(root, file.fileName) : 'options'} ${message}`
  return `${block.page}:${block.line + file.getLineAndCharacterOfPosition(start ?? 0).line + 1} ${message}`
}
