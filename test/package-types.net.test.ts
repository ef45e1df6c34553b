import { spawnSync } from 'node:child_process'
import {
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { expect, test } from 'vitest'

const root = join(import.meta.dirname, '..')
const { exports, peerDependencies, typesVersions } = JSON.parse(
  readFileSync(join(root, 'package.json'), 'utf8'),
)
const entries = Object.keys(exports).filter((entry) => exports[entry].require)

// Without it, `moduleResolution: node10` finds the root alone, because it does not read `exports`.
test('typesVersions names the declarations of every subpath (rule 48)', () => {
  const subpaths = entries.filter((entry) => entry !== '.')
  const expected = subpaths.map((entry) => [entry.replace('./', ''), [exports[entry].require.types]])
  expect(typesVersions).toEqual({ '*': Object.fromEntries(expected) })
})

test.each([
  ['node10', 'commonjs', ['program.ts']],
  ['nodenext', 'nodenext', ['program.mts', 'program.cts']],
])('the declarations of every entry compile under moduleResolution %s', (resolution, module, files) => {
  const imports = entries.map((entry, index) => `import * as entry${index} from '${join('spillway', entry)}'`)
  const names = imports.map((_, index) => `entry${index}`)
  const program = `${imports.join('\n')}\nexport const entries: readonly object[] = [${names}]\n`
  expect(imports.length).toBeGreaterThan(1)
  expect(compile(files, program, ['--module', module, '--moduleResolution', resolution])).toEqual([])
})

/** Compiles programs beside `spillway` alone. Returns the errors, except that the frameworks are missing. */
function compile(files: readonly string[], program: string, flags: readonly string[]): string[] {
  const folder = mkdtempSync(join(tmpdir(), 'spillway-types-'))
  try {
    for (const name of ['@types/node', 'undici-types', 'spillway/dist']) install(name, folder)
    copyFileSync(join(root, 'package.json'), join(folder, 'node_modules/spillway/package.json'))
    for (const file of files) writeFileSync(join(folder, file), program)
    const tsc = join(root, 'node_modules/typescript/bin/tsc')
    const args = [tsc, '--noEmit', '--strict', '--target', 'es2023', '--preserveSymlinks', ...flags, ...files]
    const { stdout } = spawnSync(process.execPath, args, { cwd: folder, encoding: 'utf8' })
    return stdout.split(/\n(?! )/).filter((error) => error !== '' && !isMissingPeer(error))
  } finally {
    rmSync(folder, { recursive: true })
  }
}

function install(name: string, folder: string): void {
  const link = join(folder, 'node_modules', name)
  const target = name === 'spillway/dist' ? join(root, 'dist') : join(root, 'node_modules', name)
  mkdirSync(dirname(link), { recursive: true })
  symlinkSync(target, link)
}

function isMissingPeer(error: string): boolean {
  return Object.keys(peerDependencies).some((name) => error.includes(`Cannot find module '${name}`))
}
