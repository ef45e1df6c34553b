import { readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import ts from 'typescript'

/**
 * Returns the text of each declaration file that the entries need, without the declarations that no public type
 * mentions. Throws for a statement of an unsupported kind.
 */
export function publicDeclarations(entries) {
  const modules = new Map()
  const moduleOf = (file) => modules.get(file) ?? modules.set(file, new Module(file)).get(file)

  const need = (file, name) => {
    const module = moduleOf(file)
    if (module.needed.has(name)) return
    module.needed.add(name)
    for (const origin of module.originsOf(name)) need(origin.file, origin.name)
  }

  for (const entry of entries) {
    for (const name of moduleOf(entry).exported) need(entry, name)
  }
  return new Map([...modules].map(([file, module]) => [file, module.text()]))
}

class Module {
  /** The names that public types mention. */
  needed = new Set()
  exported = new Set()
  #file
  #source
  #declared = new Map()
  #imported = new Map()

  constructor(file) {
    this.#file = file
    this.#source = ts.createSourceFile(file, readFileSync(file, 'utf8'), ts.ScriptTarget.Latest, true)
    for (const statement of this.#source.statements) {
      if (specifiersOf(statement)) this.#addSpecifiers(statement)
      else this.#addDeclaration(statement)
    }
  }

  /** Returns the origins of a name: a name of another file, or the names that its declarations mention. */
  originsOf(name) {
    const imported = this.#imported.get(name)
    if (imported) return imported.file ? [imported] : []
    const mentioned = (this.#declared.get(name) ?? []).flatMap(identifiersIn)
    const known = mentioned.filter((each) => this.#declared.has(each) || this.#imported.has(each))
    return known.map((each) => ({ file: this.#file, name: each }))
  }

  text() {
    return `${this.#source.statements.map((statement) => this.#textOf(statement)).join('')}\n`
  }

  #addSpecifiers(statement) {
    const from = statement.moduleSpecifier?.text
    for (const { name, propertyName } of specifiersOf(statement)) {
      if (ts.isExportDeclaration(statement)) this.exported.add(name.text)
      // `export { name }` exports what is imported or declared elsewhere in the file.
      if (from || propertyName)
        this.#imported.set(name.text, { file: this.#fileOf(from), name: (propertyName ?? name).text })
    }
  }

  /** Returns the file of a specifier, or undefined for a package. */
  #fileOf(from) {
    if (from === undefined) return this.#file
    return from.startsWith('.') ? join(dirname(this.#file), from.replace(/\.ts$/, '.d.ts')) : undefined
  }

  #addDeclaration(statement) {
    const isExported = statement.modifiers?.some(({ kind }) => kind === ts.SyntaxKind.ExportKeyword)
    for (const name of namesOf(statement)) {
      this.#declared.set(name, [...(this.#declared.get(name) ?? []), statement])
      if (isExported) this.exported.add(name)
    }
  }

  #textOf(statement) {
    const specifiers = specifiersOf(statement)
    if (!specifiers)
      return namesOf(statement).some((name) => this.needed.has(name)) ? statement.getFullText() : ''
    // Without an empty `export {}`, TypeScript exports every declaration of a file.
    if (specifiers.length === 0) return statement.getFullText()
    const kept = specifiers.filter(({ name }) => this.needed.has(name.text))
    if (kept.length === 0) return ''
    return statement
      .getFullText()
      .replace(/\{[^}]*\}/, `{ ${kept.map((each) => each.getText()).join(', ')} }`)
  }
}

/** Returns the names in the braces of an import or export, or undefined for a declaration. */
function specifiersOf(statement) {
  if (ts.isImportDeclaration(statement)) return statement.importClause.namedBindings.elements
  if (ts.isExportDeclaration(statement)) return statement.exportClause.elements
  return undefined
}

function namesOf(statement) {
  if (ts.isVariableStatement(statement))
    return statement.declarationList.declarations.map(({ name }) => name.text)
  return [statement.name.text]
}

function identifiersIn(node) {
  if (ts.isImportTypeNode(node)) throw new Error(`Import the type by a statement: ${node.getText()}`)
  const inside = []
  ts.forEachChild(node, (child) => {
    inside.push(...identifiersIn(child))
  })
  return ts.isIdentifier(node) ? [node.text] : inside
}
