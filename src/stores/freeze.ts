/** Freezes a value with all plain objects and arrays in it, whatever their depth. Returns the value. */
export function freeze<Value>(value: Value): Value {
  const found: unknown[] = [value]
  // A list that grows, because a recursion could exceed the stack.
  for (const each of found) {
    if (typeof each !== 'object' || each === null || Object.isFrozen(each) || !isPlain(each)) continue
    Object.freeze(each)
    found.push(...Object.values(each))
  }
  return value
}

// Not an instance of a class, which may rely on its fields. A list of bytes cannot be frozen.
function isPlain(value: object): boolean {
  if (Array.isArray(value)) return true
  const prototype = Object.getPrototypeOf(value)
  // The prototype of an object literal, in any realm, has none itself.
  return prototype === null || Object.getPrototypeOf(prototype) === null
}
