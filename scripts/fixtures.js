import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import {
  existsSync,
  mkdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join } from 'node:path'

// Installs the packages that only tests and two examples need, for example Next and Bun, so that `npm ci` is light.
// Each folder of `test/fixtures` with a lock file holds some of them. A link in `node_modules` makes them resolve from
// everywhere in the repository. Does nothing when all of them are installed.

const root = join(import.meta.dirname, '..')
const FIXTURES = ['clients', 'h3', 'nest', 'next', 'runtimes']

for (const name of FIXTURES) {
  const folder = join(root, 'test/fixtures', name)
  install(folder)
  for (const each of dependenciesOf(folder))
    link(join(folder, 'node_modules', each), join(root, 'node_modules', each))
}

/** @param {string} folder */
function install(folder) {
  const marker = join(folder, 'node_modules/.installed')
  const lock = createHash('sha256')
    .update(readFileSync(join(folder, 'package-lock.json')))
    .digest('hex')
  if (existsSync(marker) && readFileSync(marker, 'utf8') === lock) return
  console.log(`Installing ${folder}`)
  const args = ['ci', '--no-audit', '--no-fund', '--prefix', folder]
  const { status } = spawnSync('npm', args, { stdio: 'inherit', shell: process.platform === 'win32' })
  if (status !== 0) {
    console.error(`\nThe packages of ${folder} could not be installed. Is the registry within reach?`)
    console.error(
      '`npm run fixtures` tries again. `npm run test:unit` and `npm run test:brokers` need no fixtures.',
    )
    process.exit(1)
  }
  writeFileSync(marker, lock)
}

/**
 * @param {string} folder
 * @returns {string[]}
 */
function dependenciesOf(folder) {
  return Object.keys(JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')).dependencies)
}

/**
 * @param {string} target
 * @param {string} path
 */
function link(target, path) {
  if (existsSync(path) && realpathSync(path) === realpathSync(target)) return
  rmSync(path, { recursive: true, force: true })
  mkdirSync(dirname(path), { recursive: true })
  // A junction needs no rights on Windows. Other systems ignore the type.
  symlinkSync(target, path, 'junction')
}
