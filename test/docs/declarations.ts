import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import ts from 'typescript'
import { root, withoutBackticks } from './pages.ts'

type Declaration = ts.ClassDeclaration | ts.InterfaceDeclaration | ts.TypeAliasDeclaration

const files = readdirSync(join(root, 'src'), { recursive: true, encoding: 'utf8' })
  .filter((name) => name.endsWith('.ts'))
  .map((name) => join('src', name))

const declarations = files.flatMap((file) =>
  parse(file)
    .statements.filter(isDeclaration)
    .map((declaration) => ({ file, declaration })),
)

/** Returns the text of all source files except one. */
export function sourceWithout(name: string): string {
  const others = files.filter((file) => file !== name)
  return others.map((file) => readFileSync(join(root, file), 'utf8')).join('\n')
}

/** Returns the strings of a union type, in their order. */
export function unionOf(name: string): string[] {
  const { declaration } = find(name)
  if (!ts.isTypeAliasDeclaration(declaration) || !ts.isUnionTypeNode(declaration.type))
    throw new Error(`${name} is not a union.`)
  return declaration.type.types.map((type) => type.getText().slice(1, -1))
}

/** Returns the names of the members of an interface, in their order, after those that it inherits. */
export function membersOf(name: string): string[] {
  const { members, heritageClauses = [] } = interfaceOf(name)
  const bases = heritageClauses.flatMap(({ types }) => types.map((type) => type.expression.getText()))
  return [...bases.flatMap(membersOf), ...members.map(memberName)]
}

/** Returns the public members of a class, in their order. A name that begins with `_` is internal. */
export function publicMembersOf(name: string): string[] {
  const { declaration } = find(name)
  if (!ts.isClassDeclaration(declaration)) throw new Error(`${name} is not a class.`)
  const members = declaration.members
    .filter((member) => member.name && !ts.isPrivateIdentifier(member.name))
    .map(memberName)
    .filter((member) => !member.startsWith('_'))
  // A property with a getter and a setter has two members.
  return [...new Set(members)]
}

/** Returns the file that declares a class or interface with a method, or undefined if there is none. */
export function fileOfMethod(type: string, method: string): string | undefined {
  const found = declarations.find(
    ({ declaration }) =>
      declaration.name?.text === type &&
      !ts.isTypeAliasDeclaration(declaration) &&
      declaration.members.some((member) => isMethod(member) && memberName(member) === method),
  )
  return found?.file
}

/** Returns the defaults of an interface's own members whose comment ends in `Default ….` */
export function defaultsOf(name: string): Map<string, string> {
  const defaults = new Map<string, string>()
  for (const member of interfaceOf(name).members) {
    const [comment = ''] = member.getFullText().split('*/')
    const [, value] = /Default:? (.+)\.\s*$/.exec(comment) ?? []
    if (value) defaults.set(memberName(member), withoutQuotes(value))
  }
  return defaults
}

/** Returns a default as it is compared: a string without quotes and backticks. */
export function withoutQuotes(value: string): string {
  return withoutBackticks(value).replaceAll("'", '')
}

function interfaceOf(name: string): ts.InterfaceDeclaration {
  const { declaration } = find(name)
  if (ts.isInterfaceDeclaration(declaration)) return declaration
  throw new Error(`${name} is not an interface.`)
}

function find(name: string): { declaration: Declaration } {
  const [found, ...others] = declarations.filter(({ declaration }) => declaration.name?.text === name)
  if (found && others.length === 0) return found
  throw new Error(`${name} is declared ${others.length + (found ? 1 : 0)} times.`)
}

function isDeclaration(statement: ts.Statement): statement is Declaration {
  return (
    ts.isClassDeclaration(statement) ||
    ts.isInterfaceDeclaration(statement) ||
    ts.isTypeAliasDeclaration(statement)
  )
}

function isMethod(member: ts.ClassElement | ts.TypeElement): boolean {
  return ts.isMethodDeclaration(member) || ts.isMethodSignature(member)
}

function memberName({ name }: ts.ClassElement | ts.TypeElement): string {
  return name?.getText() ?? ''
}

function parse(file: string): ts.SourceFile {
  return ts.createSourceFile(file, readFileSync(join(root, file), 'utf8'), ts.ScriptTarget.Latest, true)
}
