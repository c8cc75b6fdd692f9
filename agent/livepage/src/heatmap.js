import uPlot from 'uplot'
import { bytes, durations } from './units.js'

// From few to many, viridis: its order holds in gray, and for those who are blind to colors. It runs
// away from the background of the theme, without the colors that are hard to tell from it.
const viridis = [[68, 1, 84], [72, 36, 117], [70, 68, 131], [57, 98, 141], [40, 125, 142], [32, 150, 140], [41, 175, 127], [85, 198, 103], [149, 216, 64], [223, 227, 24]]
const dark = matchMedia('(prefers-color-scheme: dark)')
const ramp = () => (dark.matches ? viridis.slice(3) : viridis.slice(0, 8).reverse()).map(c => `rgb(${c.join()})`)
const color = name => getComputedStyle(document.documentElement).getPropertyValue(name).trim()
const cellSize = 4 // in pixels of the page

// Offsets are marked at multiples of powers of two.
const steps = Array.from({ length: 60 }, (_, i) => 2 ** i)

// Heatmap draws the faults that pass a filter by time and offset. onzoom gets the part that was brushed.
export class Heatmap {
  constructor(root, onzoom) {
    this.root = root
    this.onzoom = onzoom
    this.onhover = null
    this.part = { t0: 0, t1: 1, o0: 0, o1: 1 }
    this.draw = () => {}
    this.build()
    new ResizeObserver(() => this.plot.setSize(this.size())).observe(root)
    dark.addEventListener('change', () => { this.build(); this.refresh() })
    root.addEventListener('keydown', e => this.key(e))
  }

  size() { return { width: Math.max(this.root.clientWidth - 16, 300), height: 420 } }

  build() {
    this.plot?.destroy()
    const axis = { stroke: color('--soft'), grid: { stroke: color('--line'), width: 1 }, ticks: { stroke: color('--line') }, font: '12px system-ui' }
    this.plot = new uPlot({
      ...this.size(), legend: { show: false },
      cursor: { drag: { x: true, y: true, uni: 12, setScale: false }, points: { show: false } },
      scales: { x: { time: false, range: () => [this.part.t0, this.part.t1] }, y: { range: () => [this.part.o0, this.part.o1] } },
      axes: [
        { ...axis, label: 'time since the start of the profile', values: (_, v) => durations(v) },
        { ...axis, label: 'offset in the region', size: 80, incrs: steps, values: (_, v) => v.map(bytes) },
      ],
      series: [{}, { show: true, paths: () => null, points: { show: false } }],
      hooks: {
        draw: [u => this.cells(u)],
        setSelect: [u => this.brushed(u)],
        setCursor: [u => this.hovered(u)],
      },
    }, [[0, 1], [null, null]], this.root)
  }

  // show draws the faults of a list (indexes into arrays time and offset), within a part, and above them when all Ps stood in page faults.
  show(faults, list, start, part, blocked) {
    Object.assign(this, { faults, list, start, part, blocked })
    this.refresh()
  }

  refresh() { this.plot.setData([[this.part.t0, this.part.t1], [null, null]]) }

  cells(u) {
    if (!this.faults) return
    const { left, top, width, height } = u.bbox, cell = cellSize * devicePixelRatio
    const columns = Math.max(Math.floor(width / cell), 1), rows = Math.max(Math.floor(height / cell), 1)
    const { t0, t1, o0, o1 } = this.part, { time, offset } = this.faults
    const counts = new Uint32Array(columns * rows), fx = columns / (t1 - t0), fy = rows / (o1 - o0)
    let most = 0
    const list = this.list
    for (let k = 0; k < list.length; k++) {
      const i = list[k], x = Math.floor((time[i] - this.start - t0) * fx), y = Math.floor((offset[i] - o0) * fy)
      if (x < 0 || y < 0 || x >= columns || y >= rows) continue
      most = Math.max(most, ++counts[y * columns + x])
    }
    this.most = most
    this.cell = { time: (t1 - t0) / columns, place: (o1 - o0) / rows }
    const colors = ramp(), w = width / columns, h = height / rows, scale = most > 1 ? (colors.length - 1) / Math.log(most) : 0
    for (let y = 0; y < rows; y++) {
      for (let x = 0; x < columns; x++) {
        const n = counts[y * columns + x]
        if (n === 0) continue
        u.ctx.fillStyle = colors[most > 1 ? Math.round(Math.log(n) * scale) : colors.length - 1]
        u.ctx.fillRect(left + x * w, top + height - (y + 1) * h, Math.ceil(w), Math.ceil(h))
      }
    }
    this.strip(u)
    this.drawn?.()
  }

  // strip draws along the upper edge for which part of the time all Ps stood.
  strip(u) {
    const { left, top, width } = u.bbox, cell = cellSize * devicePixelRatio, columns = Math.max(Math.floor(width / cell), 1)
    const { t0, t1 } = this.part, each = (t1 - t0) / columns, w = width / columns
    this.stood = new Float64Array(columns)
    for (const b of this.blocked ?? []) {
      const from = b.from - this.start - t0, to = b.to - this.start - t0
      for (let x = Math.max(Math.floor(from / each), 0); x < columns && x * each < to; x++) {
        this.stood[x] += b.all * Math.max(Math.min((x + 1) * each, to) - Math.max(x * each, from), 0) / Math.max(to - from, 1)
      }
    }
    u.ctx.save()
    u.ctx.fillStyle = color('--second')
    for (let x = 0; x < columns; x++) {
      if (this.stood[x] <= 0) continue
      u.ctx.globalAlpha = 0.25 + 0.75 * Math.min(this.stood[x] / each, 1)
      u.ctx.fillRect(left + x * w, top - 2 * cell, Math.ceil(w), 1.5 * cell)
    }
    u.ctx.restore()
  }

  // hovered tells onhover the cell under the pointer and where the pointer is, or null outside. Once a frame is enough.
  hovered(u) {
    if (!this.onhover || this.hovering) return
    this.hovering = requestAnimationFrame(() => {
      this.hovering = 0
      const { left, top } = u.cursor
      if (left === undefined || left < 0 || !this.cell) return this.onhover(null)
      const { t0, o0 } = this.part, { time, place } = this.cell
      const x = Math.floor((u.posToVal(left, 'x') - t0) / time), y = Math.floor((u.posToVal(top, 'y') - o0) / place)
      this.onhover({ t0: t0 + x * time, t1: t0 + (x + 1) * time, o0: o0 + y * place, o1: o0 + (y + 1) * place },
        left + u.over.offsetLeft, top + u.over.offsetTop)
    })
  }

  brushed(u) {
    const { left, top, width, height } = u.select
    if (width < 3 && height < 3) return
    const p = { ...this.part }
    if (width >= 3) { p.t0 = u.posToVal(left, 'x'); p.t1 = u.posToVal(left + width, 'x') }
    if (height >= 3) { p.o1 = u.posToVal(top, 'y'); p.o0 = u.posToVal(top + height, 'y') }
    u.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false)
    this.onzoom(p)
  }

  key(e) {
    const { t0, t1, o0, o1 } = this.part, dt = (t1 - t0) / 10, d = (o1 - o0) / 10
    const to = {
      ArrowLeft: { t0: t0 - dt, t1: t1 - dt }, ArrowRight: { t0: t0 + dt, t1: t1 + dt },
      ArrowUp: { o0: o0 + d, o1: o1 + d }, ArrowDown: { o0: o0 - d, o1: o1 - d },
      '+': { t0: t0 + dt, t1: t1 - dt, o0: o0 + d, o1: o1 - d }, '=': { t0: t0 + dt, t1: t1 - dt, o0: o0 + d, o1: o1 - d },
      '-': { t0: t0 - dt, t1: t1 + dt, o0: o0 - d, o1: o1 + d }, 0: null,
    }[e.key]
    if (to === undefined || e.ctrlKey || e.metaKey || e.altKey) return
    e.preventDefault()
    this.onzoom(to && { ...this.part, ...to })
  }
}
