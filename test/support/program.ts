import { accessSync, constants, statSync } from 'node:fs'
import { delimiter, join } from 'node:path'

export interface Program {
  /** Its commands, the usual one first. */
  readonly commands: readonly [string, ...string[]]
  /** How a reader gets it. */
  readonly install: string
}

// A user's PATH may leave out where servers are installed.
const FOLDERS = [
  ...(process.env.PATH ?? '').split(delimiter),
  '/usr/bin',
  '/usr/sbin',
  '/usr/local/bin',
  '/snap/bin',
]

/**
 * The path of a program that tests need, from `<NAME>_PATH` in the environment or where programs are. Undefined, with
 * a message, when it is not installed: its tests are then skipped. On CI nothing is skipped: there it throws.
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
  throw new Error(`${variable} names no program: ${path}`)
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
