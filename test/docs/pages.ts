import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'

export const root = join(import.meta.dirname, '../..')

export interface Page {
  /** The path of the page from the root folder, for example `docs/hub.md`. */
  readonly name: string
  readonly text: string
}

export interface Section {
  readonly heading: string
  readonly text: string
}

/** A code block of a page in JavaScript or TypeScript. */
export interface Block {
  readonly page: string
  /** The number of the line with the opening fence. */
  readonly line: number
  readonly language: string
  /**
   * The comment before the block. `fragment`: not type-checked. `browser`: type-checked with the globals of a browser.
   * `store`: exports an `EventStore`.
   */
  readonly mark: string | undefined
  readonly code: string
  /** The `curl` command that the text after the block starts with, without its backticks. */
  readonly curl: string | undefined
}

const NAMES = ['README.md', 'CHANGELOG.md', 'CONTRIBUTING.md', 'test/README.md', ...filesIn('docs')]

export const pages: readonly Page[] = NAMES.filter((name) => name.endsWith('.md')).map((name) => ({
  name,
  text: readFileSync(join(root, name), 'utf8'),
}))

/** Returns the text of a page. */
export function pageOf(name: string): string {
  return pages.find((page) => page.name === name)?.text ?? ''
}

/** Returns the sections of a page that have a heading of the second level. */
export function sectionsOf(name: string): Section[] {
  const sections = pageOf(name).split(/^## /m).slice(1)
  return sections.map((text) => ({ heading: text.slice(0, text.indexOf('\n')), text }))
}

/** Returns the text under a heading of the second level, or the text before the first one. */
export function sectionOf(name: string, heading: string | undefined): string {
  if (heading === undefined) return pageOf(name).split(/^## /m)[0] ?? ''
  return sectionsOf(name).find((section) => section.heading === heading)?.text ?? ''
}

export function blocksOf({ name, text }: Page): Block[] {
  const fences = /(?:^[ \t]*<!-- (\w+) -->\n+)?^([ \t]*)```(js|ts)\b.*\n([\s\S]*?)^\2```$/gm
  return [...text.matchAll(fences)].map((match) => {
    const [whole, mark, , language = '', code = ''] = match
    const before = text.slice(0, match.index) + whole.slice(0, whole.indexOf('```'))
    const [, curl] = /^\s*`(curl [^`]+)`/.exec(text.slice(match.index + whole.length)) ?? []
    return { page: name, line: before.split('\n').length, language, mark, code, curl }
  })
}

/** Returns the rows, as cells, of all tables whose first column has this title. */
export function rowsOf(text: string, title: string): string[][] {
  const tables = text.split(/\n\n+/).filter((part) => part.startsWith('|'))
  const rows = tables.map((table) => table.trim().split('\n').map(cellsOf))
  return rows.filter(([titles]) => titles?.[0] === title).flatMap(([, , ...body]) => body)
}

function cellsOf(row: string): string[] {
  return row
    .split('|')
    .slice(1, -1)
    .map((cell) => cell.trim())
}

/** Returns the first cell of a row without its backticks. */
export function nameOf([cell = '']: readonly string[]): string {
  return withoutBackticks(cell)
}

export function withoutBackticks(cell: string): string {
  return cell.replaceAll('`', '')
}

/** Returns the links of a page that lead to a missing file or heading. */
export function brokenLinksOf({ name, text }: Page): string[] {
  const targets = [...text.matchAll(/\]\((?!\w+:)([^)\s]+)\)/g)].map(([, target = '']) => target)
  return targets.filter((target) => !exists(name, target))
}

function exists(page: string, target: string): boolean {
  const [path = '', anchor] = target.split('#')
  const file = path === '' ? join(root, page) : join(root, dirname(page), path)
  if (!existsSync(file)) return false
  const headings = file.endsWith('.md') ? readFileSync(file, 'utf8').match(/^#+ .*$/gm) : []
  return anchor === undefined || (headings ?? []).some((heading) => anchorOf(heading) === anchor)
}

function anchorOf(heading: string): string {
  const text = heading.replace(/^#+ /, '').toLowerCase()
  return text.replace(/[^\p{L}\p{N} _-]/gu, '').replaceAll(' ', '-')
}

function filesIn(folder: string): string[] {
  const names = readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
  return names.map((name) => join(folder, name))
}
