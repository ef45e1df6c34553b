import { afterAll, vi } from 'vitest'

// Setup of the unit tests, whose files share threads. Clears the timers that a file leaves behind. Otherwise the
// callback of a timer would run in a later file, and could start timers there while its clock is a fake one.
const timers = new Set<WeakRef<NodeJS.Timeout>>()
vi.useRealTimers()
const { setTimeout, setInterval } = globalThis

for (const start of [setTimeout, setInterval]) {
  const proxy = new Proxy(start, {
    apply(target, self, args) {
      const timer = Reflect.apply(target, self, args)
      timers.add(new WeakRef(timer))
      return timer
    },
  })
  Object.assign(globalThis, { [start.name]: proxy })
}

afterAll(() => {
  Object.assign(globalThis, { setTimeout, setInterval })
  for (const timer of timers) clearTimeout(timer.deref())
})
