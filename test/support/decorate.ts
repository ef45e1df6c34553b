/** The compiled form of `@Each() class Target { constructor(@Param() …) }`. Decorators cannot be erased. */
export function decorate(
  target: new (...args: never[]) => object,
  decorators: ClassDecorator[],
  params: ParameterDecorator[] = [],
): void {
  for (const [index, param] of params.entries()) param(target, undefined, index)
  for (const each of decorators) each(target)
}

/** The compiled form of `@Each() name(@Param() …)`. */
export function decorateMethod<T extends object>(
  { prototype }: { prototype: T; name: string },
  name: keyof T & string,
  decorators: MethodDecorator[],
  params: ParameterDecorator[] = [],
): void {
  for (const [index, param] of params.entries()) param(prototype, name, index)
  const descriptor = Object.getOwnPropertyDescriptor(prototype, name) ?? {}
  for (const each of decorators) each(prototype, name, descriptor)
}
