import { shortFunction } from './units.js'

export const noStack = '(no stack taken)'

// callerOf is the frame that a fault is named after, as in every other output.
export function callerOf(r, stack) {
  const frames = r.frames[stack] ?? []
  return frames.find(f => !f.serves) ?? frames[0] ?? { function: noStack, file: '', line: 0 }
}

// remembered keeps what a function found out about a region of a recording, as long as the recording is there.
function remembered(f) {
  const known = new WeakMap()
  return (r, region) => {
    if (!known.has(r)) known.set(r, new Map())
    const of = known.get(r)
    if (!of.has(region)) of.set(region, f(r, region))
    return of.get(region)
  }
}

// whole is all of a region: from the first of its faults that are known to the end of the recording, so that a time without any is seen
// too, and its size.
export const whole = remembered((r, region) => {
  const { time, stall, region: of, offset, length } = r.faults
  let t0 = Infinity, t1 = -Infinity, o1 = r.regionOf.get(region)?.size ?? 1
  for (let i = 0; i < length; i++) {
    if (of[i] !== region) continue
    const t = time[i], end = t + stall[i], o = offset[i]
    if (t < t0) t0 = t
    if (end > t1) t1 = end
    if (o >= o1) o1 = o + 1
  }
  t1 = Math.max(t1, r.origin.endMono, r.origin.startMono + 1)
  if (t0 > t1) t0 = r.origin.startMono
  const margin = (t1 - t0) / 100 + 1
  return { t0: Math.max(t0 - margin, r.origin.startMono) - r.origin.startMono, t1: t1 + margin - r.origin.startMono, o0: 0, o1 }
})

// clamp keeps a part within all, and not too small.
export function clamp(part, all, granule) {
  const fit = (a, b, lo, hi, least) => {
    const size = Math.min(Math.max(b - a, least), hi - lo), at = Math.min(Math.max((a + b - size) / 2, lo), hi - size)
    return [at, at + size]
  }
  const [t0, t1] = fit(part.t0, part.t1, all.t0, all.t1, 1000), [o0, o1] = fit(part.o0, part.o1, all.o0, all.o1, granule)
  return { t0, t1, o0, o1 }
}

// within lists the faults of a region in a part, and of some spans if they are given.
export function within(r, region, part, spans) {
  const { time, region: of, offset, span, length } = r.faults, start = r.origin.startMono, list = new Uint32Array(length)
  const t0 = part.t0 + start, t1 = part.t1 + start, { o0, o1 } = part
  let n = 0
  for (let i = 0; i < length; i++) {
    if (of[i] === region && time[i] >= t0 && time[i] <= t1 && offset[i] >= o0 && offset[i] < o1 && (!spans || spans.has(span[i]))) list[n++] = i
  }
  return list.subarray(0, n)
}

// totals adds up faults of a part; a granule that was touched again and again counts once.
export function totals(r, region, list, part) {
  const { size, granule, faults: all, touched: allTouched } = r.regionOf.get(region), { offset, stall: waits } = r.faults
  const last = Math.floor(size / granule) // the granule there may be cut short
  // Of all that there were, the profiler has counted it.
  const seen = list.length === all ? null : new Granules(Math.floor(part.o0 / granule), Math.ceil(part.o1 / granule))
  let touched = 0, stall = 0, max = 0
  for (let k = 0; k < list.length; k++) {
    const i = list[k], g = Math.floor(offset[i] / granule)
    if (seen?.add(g)) touched += g === last && size > last * granule ? size - last * granule : granule
    const wait = waits[i]
    stall += wait
    if (wait > max) max = wait
  }
  return { faults: list.length, touched: seen ? touched : allTouched, stall, max }
}

// Granules is a set of granule numbers from first up to end: a bit for each, where that is not too much memory.
class Granules {
  constructor(first, end) {
    this.first = first
    if (end - first < 2 ** 31) this.bits = new Uint32Array(Math.ceil((end - first + 1) / 32))
    else this.set = new Set()
  }

  // add reports whether the granule was not there yet.
  add(g) {
    if (this.set) {
      const before = this.set.size
      return this.set.add(g).size > before
    }
    const at = g - this.first, word = at >>> 5, bit = 1 << (at & 31)
    if (this.bits[word] & bit) return false
    this.bits[word] |= bit
    return true
  }
}

// cell sums up the faults of a list within a part: how many, their stall, the code and the request that waited longest in it.
export function cell(r, list, part) {
  const f = r.faults, start = r.origin.startMono, found = []
  for (let k = 0; k < list.length; k++) {
    const i = list[k], t = f.time[i] - start, o = f.offset[i]
    if (t >= part.t0 && t < part.t1 && o >= part.o0 && o < part.o1) found.push(i)
  }
  if (found.length === 0) return null
  const longest = found.reduce((a, b) => (f.stall[b] > f.stall[a] ? b : a)), of = r.spanOf.get(f.span[longest])
  return { faults: found.length, stall: found.reduce((sum, i) => sum + f.stall[i], 0), caller: callers(r, found)[0], trace: of?.trace ?? '' }
}

// tracesOf are the traces that faults belong to.
export function tracesOf(r, list) {
  const refs = new Set()
  for (let k = 0; k < list.length; k++) refs.add(r.faults.span[list[k]])
  return new Set([...refs].map(ref => r.spanOf.get(ref)?.trace).filter(Boolean))
}

// callers adds faults up by the line that made them.
export function callers(r, list) {
  const of = new Map(), ofStack = []
  for (const i of list) {
    const stack = r.faults.stack[i]
    let c = ofStack[stack]
    if (!c) {
      const f = callerOf(r, stack), key = f.function + f.file + f.line
      c = ofStack[stack] = of.get(key) ?? { ...f, faults: 0, stall: 0, max: 0, stack }
      of.set(key, c)
    }
    c.faults++
    c.stall += r.faults.stall[i]
    c.max = Math.max(c.max, r.faults.stall[i])
  }
  return [...of.values()].sort((a, b) => b.stall - a.stall)
}

// flame is the tree of the calls of faults, from the outermost in, by stall.
export function flame(r, list) {
  const root = { name: 'all', value: 0, faults: 0, kids: new Map() }
  const paths = new Map()
  for (const i of list) {
    const stack = r.faults.stack[i]
    let path = paths.get(stack)
    if (!path) paths.set(stack, (path = (r.frames[stack] ?? []).map(f => f.function).reverse()))
    let at = root
    for (const name of ['', ...(path.length ? path : [noStack])]) {
      if (name !== '') {
        if (!at.kids.has(name)) at.kids.set(name, { name, value: 0, faults: 0, kids: new Map() })
        at = at.kids.get(name)
      }
      at.value += r.faults.stall[i]
      at.faults++
    }
  }
  return root
}

// tree is the set of a request and the spans below it, by id, and of the references that faults have.
export function tree(r, request) {
  const spans = [request], ids = new Set([request.span])
  for (let i = 0; i < spans.length; i++) {
    for (const q of r.requests) if (q.trace === request.trace && q.parent === spans[i].span && !ids.has(q.span)) { ids.add(q.span); spans.push(q) }
  }
  const refs = new Set(r.spans.filter(x => x.trace === request.trace && ids.has(x.span)).map(x => x.ref))
  return { spans: spans.sort((a, b) => a.start - b.start || b.duration - a.duration), refs }
}

// sampled tells whether a part of a region was left out: what there was then is estimated, and what was seen comes second.
export const sampled = x => x.estimateFaultsError > 0 || x.estimateTouchedError > 0 || Math.abs(x.estimateFaults - x.faults) > 0.5

export const touchedOf = x => (sampled(x) ? { value: x.estimateTouched, error: x.estimateTouchedError } : { value: x.touched, error: 0 })
export const sumOf = list => list.reduce((sum, x) => ({ value: sum.value + x.value, error: Math.hypot(sum.error, x.error) }), { value: 0, error: 0 })

// wholeOf is what the touched bytes of a region are a part of, as summary.Region.Whole is: all that ever was, where it is not mapped any more.
export const wholeOf = x => (x.mapped === 0 || touchedOf(x).value > x.mapped + x.granule ? Math.max(x.size, x.mapped, touchedOf(x).value) : x.mapped)
export const shareOf = x => Math.min(touchedOf(x).value / (wholeOf(x) || 1), 1)

// kept is how many requests are known one by one.
export const kept = r => r.requests.reduce((n, q) => n + (q.entry ? 1 : 0), 0)

export const requestName = q => (q.name + ' ' + q.target).trim()
export const place = f => (f.file ? `${shortFunction(f.function)} ${f.file.slice(f.file.lastIndexOf('/') + 1)}:${f.line}` : shortFunction(f.function))
