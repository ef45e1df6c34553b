import { execFileSync } from 'node:child_process'
import { copyFileSync, mkdirSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../..', import.meta.url))
const installed = fileURLToPath(new URL('../node_modules/spillway', import.meta.url))

/**
 * Builds the sources as they are now into the benchmark's own node_modules: a contender imports `spillway` as a user
 * does, and a build of the library that runs meanwhile changes nothing under a measurement.
 */
export function buildSpillway() {
  mkdirSync(installed, { recursive: true })
  copyFileSync(`${root}/package.json`, `${installed}/package.json`)
  const env = { ...process.env, DIST: `${installed}/dist` }
  execFileSync('npx', ['tsup'], { cwd: root, env, stdio: ['ignore', 2, 'inherit'] })
}
