import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'

const root = join(import.meta.dirname, '../..')
const folder = mkdtempSync(join(tmpdir(), 'spillway-package-'))

const run = (command: string, ...args: string[]) =>
  execFileSync(command, args, { cwd: folder, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] })

/** Packs a folder. Returns the path of the archive. */
function pack(path: string): string {
  const args = ['pack', path, '--json', '--ignore-scripts', '--pack-destination', folder]
  const [{ filename }] = JSON.parse(run('npm', ...args))
  return join(folder, filename)
}

// Installs the archive as a user does, and its dependency from this folder instead of the registry.
beforeAll(() => {
  writeFileSync(join(folder, 'package.json'), '{ "private": true }')
  const archives = [root, join(root, 'node_modules/eventsource-parser')].map(pack)
  run('npm', 'install', '--offline', '--ignore-scripts', '--omit=peer', '--no-audit', ...archives)
}, 120_000)

afterAll(() => rmSync(folder, { recursive: true }))

test('npx spillway runs from the packed archive', () => {
  expect(run('npx', '--offline', 'spillway', '--help')).toMatch(/^Usage: npx spillway <command>/)
  expect(run('npx', '--offline', 'spillway', 'doctor', '--help')).toMatch(/^Usage: npx spillway doctor <url>/)
  expect(run('npx', '--offline', 'spillway', 'load', '--help')).toMatch(/^Usage: npx spillway load <url>/)
})

test('the doctor is a library for CommonJS and ES modules in the packed archive', () => {
  const names = ['compare', 'examine']
  const required = `console.log(JSON.stringify(Object.keys(require('spillway/doctor')).sort()))`
  const imported = `console.log(JSON.stringify(Object.keys(await import('spillway/doctor')).sort()))`
  expect(JSON.parse(run(process.execPath, '--input-type=commonjs', '--eval', required))).toEqual(names)
  expect(JSON.parse(run(process.execPath, '--input-type=module', '--eval', imported))).toEqual(names)
})

test('the packed archive has the schemas', () => {
  const titleOf = (name: string) =>
    run(process.execPath, '--eval', `console.log(require('spillway/schemas/${name}.json').title)`)
  expect(titleOf('doctor-report')).toBe('npx spillway doctor: Report\n')
  expect(titleOf('load-report')).toBe('npx spillway load: LoadReport\n')
})
