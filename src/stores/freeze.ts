/** Freezes a value with all plain objects and arrays in it, whatever their depth. Returns the value. */
export function freeze<Value>(value: Value): Value {
  const found: object[] = isFreezable(value) ? [value] : []
  // The list grows during the loop, because a recursion could exceed the stack.
  for (const each of found) {
    Object.freeze(each)
    for (const child of Object.values(each)) if (isFreezable(child)) found.push(child)
  }
  return value
}

// Returns false for an instance of a class, which may rely on its fields, and for a list of bytes, which cannot be
// frozen.
function isFreezable(value: unknown): value is object {
  if (typeof value !== 'object' || value === null || Object.isFrozen(value)) return false
  const prototype = Object.getPrototypeOf(value)
  // The prototype of an object literal has no prototype itself, in any realm.
  return Array.isArray(value) || prototype === null || Object.getPrototypeOf(prototype) === null
}
