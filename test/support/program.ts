import { accessSync, constants, statSync } from 'node:fs'
import { delimiter, join } from 'node:path'

export interface Program {
  /** The names of its command, the usual one first. */
  readonly commands: readonly [string, ...string[]]
  /** The command that installs it. */
  readonly install: string
}

// The PATH of a user may lack the folders of servers.
const FOLDERS = [
  ...(process.env.PATH ?? '').split(delimiter),
  '/usr/bin',
  '/usr/sbin',
  '/usr/local/bin',
  '/snap/bin',
]

/**
 * Returns the path of a program that tests need, from `<NAME>_PATH` in the environment or from the usual folders. If it
 * is not installed, prints a message and returns undefined, so that its tests are skipped. Throws on CI instead.
 */
export function requireProgram({ commands, install }: Program): string | undefined {
  const [name] = commands
  const variable = `${name.toUpperCase().replaceAll('-', '_')}_PATH`
  const given = process.env[variable]
  if (given) return checkGiven(variable, given)
  const found = commands
    .flatMap((command) => FOLDERS.map((folder) => join(folder, command)))
    .find(isExecutable)
  if (!found) reportMissing(`${name} is not installed: \`${install}\`, or set ${variable}.`)
  return found
}

function checkGiven(variable: string, path: string): string {
  if (isExecutable(path)) return path
  throw new Error(`${variable} is not the path of a program: ${path}`)
}

function reportMissing(message: string): void {
  if (process.env.CI === 'true') throw new Error(message)
  console.warn(`Tests are skipped: ${message}`)
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return statSync(path).isFile()
  } catch {
    return false
  }
}
