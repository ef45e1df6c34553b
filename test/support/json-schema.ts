import { join } from 'node:path'
import ts from 'typescript'

const root = join(import.meta.dirname, '../..')

/** A schema of JSON, as far as the types of reports need it. */
export interface Schema {
  readonly [keyword: string]: unknown
}

/** Returns a program of files that import few others. */
export function programOf(files: readonly string[]): ts.Program {
  const paths = files.map((file) => join(root, file))
  // Few declarations, because those of Node.js take a second to read.
  return ts.createProgram(paths, { strict: true, noEmit: true, types: [], lib: ['lib.es5.d.ts'] })
}

/** Returns the schema of an exported type as `JSON.stringify` writes its values, with the comments as descriptions. */
export function schemaOf(program: ts.Program, file: string, name: string): Schema {
  const checker = program.getTypeChecker()
  const source = program.getSourceFile(join(root, file))
  const module = source && checker.getSymbolAtLocation(source)
  const symbol = module && checker.getExportsOfModule(module).find((each) => each.name === name)
  if (!symbol) throw new Error(`${file} does not export ${name}.`)
  return { ...describe(symbol, checker), ...convert(checker.getDeclaredTypeOfSymbol(symbol), checker) }
}

function convert(type: ts.Type, checker: ts.TypeChecker): Schema {
  // A boolean is also a union.
  if (type.flags & ts.TypeFlags.Boolean) return { type: 'boolean' }
  if (type.isUnion()) return convertUnion(type, checker)
  if (type.flags & ts.TypeFlags.String) return { type: 'string' }
  if (type.flags & ts.TypeFlags.Number) return { type: 'number' }
  if (type.isStringLiteral() || type.isNumberLiteral()) return { const: type.value }
  if (type.flags & ts.TypeFlags.Null) return { type: 'null' }
  const [item] = checker.isArrayType(type) ? checker.getTypeArguments(type as ts.TypeReference) : []
  if (item) return { type: 'array', items: convert(item, checker) }
  const value = type.getStringIndexType()
  if (value) return { type: 'object', additionalProperties: convert(value, checker) }
  // Includes the types that `Omit` and intersections create.
  if (type.flags & (ts.TypeFlags.Object | ts.TypeFlags.Intersection)) return convertInterface(type, checker)
  throw new Error(`${checker.typeToString(type)} has no schema.`)
}

function convertUnion(type: ts.UnionType, checker: ts.TypeChecker): Schema {
  // `JSON.stringify` drops members that are undefined.
  const types = type.types.filter((each) => !(each.flags & ts.TypeFlags.Undefined))
  const values = types.filter((each) => !(each.flags & ts.TypeFlags.Null))
  const schema = convertValues(values, type, checker)
  return values.length === types.length ? schema : { anyOf: [schema, { type: 'null' }] }
}

function convertValues(types: readonly ts.Type[], union: ts.Type, checker: ts.TypeChecker): Schema {
  const [only, ...others] = types
  if (only && others.length === 0) return convert(only, checker)
  if (types.every((each) => each.isStringLiteral()))
    return { type: 'string', enum: types.map((each) => (each as ts.StringLiteralType).value) }
  throw new Error(`${checker.typeToString(union)} has no schema.`)
}

function convertInterface(type: ts.Type, checker: ts.TypeChecker): Schema {
  const members = type.getProperties().map((member) => {
    const memberType = checker.getTypeOfSymbol(member)
    const isOptional = checker.typeToString(memberType).endsWith('| undefined') || isOptionalMember(member)
    return {
      name: member.name,
      isOptional,
      schema: { ...describe(member, checker), ...convert(memberType, checker) },
    }
  })
  return {
    type: 'object',
    properties: Object.fromEntries(members.map(({ name, schema }) => [name, schema])),
    required: members.filter(({ isOptional }) => !isOptional).map(({ name }) => name),
    additionalProperties: false,
  }
}

function isOptionalMember({ flags }: ts.Symbol): boolean {
  return (flags & ts.SymbolFlags.Optional) !== 0
}

function describe(symbol: ts.Symbol, checker: ts.TypeChecker): Schema {
  const description = ts.displayPartsToString(symbol.getDocumentationComment(checker)).replace(/\s+/g, ' ')
  return description === '' ? {} : { description }
}
