/* global uPlot */

const SECONDS = 60
const MAX_ROWS = 400
const GIB = 2 ** 30

// Keeps the right edge of the charts a little in the past, so that the newest sample always reaches it.
const BEHIND = 0.4

/** Draws three charts of one table of samples. They move with time, even while no samples arrive. */
export class Charts {
  #times = []
  #columns = { cpu: [], memory: [], delay: [], longestDelay: [] }
  #memoryTotal = 0
  #shades = []
  // How far the browser's clock is ahead of the server's, estimated from the sample that arrived fastest.
  #clockAhead = Number.POSITIVE_INFINITY
  #colours = readColours()
  #charts

  constructor() {
    this.#charts = [
      this.#chart('cpu-chart', ['cpu'], percentRange, (value) => `${value} %`),
      this.#chart(
        'memory-chart',
        ['memory'],
        memoryRange,
        (value, step) => `${value.toFixed(step < 0.1 ? 2 : 1)} GiB`,
      ),
      this.#chart('delay-chart', ['longestDelay', 'delay'], delayRange, (value) => `${value} ms`),
    ]
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => {
      this.#colours = readColours()
    })
    setInterval(() => this.#draw(), 100)
  }

  add({ at, cpu, memory, memoryTotal, delay, longestDelay }, isReplayed) {
    const time = at / 1000
    this.#clockAhead = Math.min(this.#clockAhead, Date.now() / 1000 - time)
    this.#memoryTotal = memoryTotal
    if (isReplayed) this.#shade(this.#times.at(-1) ?? time, time)
    this.#push(time, { cpu, memory: memory / GIB, delay, longestDelay })
  }

  /** Ends the lines, because the next sample does not follow the last one directly. */
  breakLines() {
    const last = this.#times.at(-1)
    if (last !== undefined)
      this.#push(last + 0.001, { cpu: null, memory: null, delay: null, longestDelay: null })
  }

  #push(time, row) {
    this.#times.push(time)
    for (const [name, value] of Object.entries(row)) this.#columns[name].push(value)
    if (this.#times.length <= MAX_ROWS) return
    for (const column of [this.#times, ...Object.values(this.#columns)]) column.shift()
  }

  #shade(from, to) {
    const last = this.#shades.at(-1)
    if (last?.to === from) last.to = to
    else this.#shades = [...this.#shades.filter((shade) => shade.to > this.#times[0]), { from, to }]
  }

  #draw() {
    if (document.hidden || this.#times.length === 0) return
    const max = Date.now() / 1000 - this.#clockAhead - BEHIND
    for (const { chart, names } of this.#charts) {
      chart.batch(() => {
        chart.setData([this.#times, ...names.map((name) => this.#columns[name])], false)
        chart.setScale('x', { min: max - SECONDS, max })
      })
    }
    this.#showReadings()
  }

  // Shows the sample under the pointer, otherwise the newest.
  #showReadings() {
    const row = this.#charts.find(({ chart }) => chart.cursor.idx != null)?.chart.cursor.idx ?? -1
    const at = (name, digits) => this.#columns[name].at(row)?.toFixed(digits) ?? '–'
    const readings = {
      cpu: `${at('cpu', 1)} %`,
      memory: `${at('memory', 2)} of ${(this.#memoryTotal / GIB).toFixed(1)} GiB`,
      delay: `${at('delay', 2)} ms`,
      'longest-delay': `${at('longestDelay', 2)} ms`,
    }
    for (const [id, text] of Object.entries(readings)) document.getElementById(id).textContent = text
  }

  #chart(id, names, range, format) {
    const container = document.getElementById(id)
    const size = () => ({ width: container.clientWidth, height: container.clientHeight })
    const chart = new uPlot(
      {
        ...size(),
        legend: { show: false },
        cursor: { y: false, drag: { x: false, y: false }, sync: { key: 'time' }, points: { size: 7 } },
        padding: [10, 4, 0, 0],
        scales: { x: { time: true }, y: { range } },
        axes: [this.#timeAxis(), this.#valueAxis(format)],
        series: [{}, ...names.map((name) => this.#line(name))],
        hooks: { drawClear: [(plot) => this.#drawShades(plot)] },
      },
      [[], ...names.map(() => [])],
      container,
    )
    new ResizeObserver(() => chart.setSize(size())).observe(container)
    return { chart, names }
  }

  #line(name) {
    // A filled area is misleading unless the axis starts at zero, and the axis of memory does not.
    const fill = name === 'memory' ? null : () => `${this.#colours[name]}1c`
    return {
      stroke: () => this.#colours[name],
      fill,
      width: 1.75,
      points: { show: false },
    }
  }

  #timeAxis() {
    return { ...this.#axis(), values: timeLabels, incrs: [10, 15, 30, 60], space: 60, size: 24 }
  }

  #valueAxis(format) {
    const values = (_plot, values, _axis, _space, step) => values.map((value) => format(value, step))
    return { ...this.#axis(), values, space: 34, size: 66 }
  }

  #axis() {
    return {
      stroke: () => this.#colours.muted,
      grid: { stroke: () => this.#colours.line, width: 1 },
      ticks: { show: false },
      gap: 7,
      font: '12px system-ui, sans-serif',
    }
  }

  #drawShades({ ctx, bbox, valToPos }) {
    ctx.fillStyle = this.#colours.shade
    for (const { from, to } of this.#shades) {
      const left = Math.max(valToPos(from, 'x', true), bbox.left)
      const right = valToPos(to, 'x', true)
      if (right > left) ctx.fillRect(left, bbox.top, right - left, bbox.height)
    }
  }
}

// Omits a label that the right edge would cut off.
function timeLabels(plot, times) {
  const lastPosition = plot.over.clientWidth - 26
  return times.map((time) =>
    plot.valToPos(time, 'x') > lastPosition ? '' : new Date(time * 1000).toLocaleTimeString('en-GB'),
  )
}

// Leaves room for the width of a line at 100 %.
const percentRange = () => [0, 103]

// Zooms in, but not so far that a few MiB look like a leak.
function memoryRange(_, min, max) {
  const middle = ((min ?? 0) + (max ?? 0)) / 2
  const half = Math.max(0.15, ((max ?? 0) - (min ?? 0)) * 0.65)
  return [Math.max(0, middle - half), Math.max(0, middle - half) + 2 * half]
}

const delayRange = (_, _min, max) => [0, Math.max(4, (max ?? 0) * 1.15)]

function readColours() {
  const style = getComputedStyle(document.documentElement)
  const names = { longestDelay: 'longest-delay' }
  const colour = (name) => style.getPropertyValue(`--${names[name] ?? name}`).trim()
  return Object.fromEntries(
    ['cpu', 'memory', 'delay', 'longestDelay', 'muted', 'line', 'shade'].map((name) => [name, colour(name)]),
  )
}
