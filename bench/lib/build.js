import { execFileSync } from 'node:child_process'
import { copyFileSync, mkdirSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../..', import.meta.url))
const installed = fileURLToPath(new URL('../node_modules/spillway', import.meta.url))

/**
 * Builds the present sources into the node_modules of the benchmarks. A contender then imports `spillway` as a user
 * does, and another build of the library does not affect a running measurement.
 */
export function buildSpillway() {
  mkdirSync(installed, { recursive: true })
  copyFileSync(`${root}/package.json`, `${installed}/package.json`)
  const env = { ...process.env, DIST: `${installed}/dist` }
  execFileSync('npx', ['tsup'], { cwd: root, env, stdio: ['ignore', 2, 'inherit'] })
}
