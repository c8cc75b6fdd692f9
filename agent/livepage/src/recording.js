import { inflateSync } from 'fflate'
import { objects, split, values } from './columns.js'
import { tables } from './tables.js'

const magic = [0x89, 0x46, 0x54, 0x52, 0x0d, 0x0a, 0x1a, 0x0a]
const frameHead = 13

const statsTable = 7, faultTable = 15, endTable = 16
// The faults are millions, and so columns of typed arrays: of those that are used, with the type that each has.
const used = { seq: Float64Array, time: Float64Array, offset: Float64Array, stall: Float64Array, goroutine: Float64Array, span: Float64Array,
  thread: Uint32Array, region: Uint32Array, stack: Uint32Array, access: Uint8Array, source: Uint8Array }
const faultShape = tables[faultTable][1].map(([name, kind]) => (used[name] ? [name, kind, used[name]] : null))

// read decodes a recording and adds its faults to those that are known already, of the same process. Of one that
// is cut off it returns what is before that, with why in cut. Checksums are left to the transfer: who serves
// a file has held it to them.
export function read(buffer, store = new Faults()) {
  const b = new Uint8Array(buffer), view = new DataView(buffer)
  if (magic.some((c, i) => b[i] !== c)) throw new Error('the answer is not a firsttouch recording')
  if (view.getUint16(8, true) !== 1) throw new Error('the recording was written by a newer firsttouch')
  const r = { cut: 'the end is missing', store }
  for (const [name] of Object.values(tables)) r[name] = []
  for (let at = 12; at + frameHead <= b.length;) {
    const kind = b[at], size = view.getUint32(at + 1, true), stored = view.getUint32(at + 5, true), from = at + frameHead
    if (from + stored > b.length) break
    at = from + stored
    if (kind === endTable) { r.cut = ''; break }
    if (kind !== faultTable && !tables[kind]) continue
    const content = inflateSync(b.subarray(from, at), { out: new Uint8Array(size) })
    if (kind === faultTable) store.add(content)
    else r[tables[kind][0]].push(...objects(content, tables[kind][1]))
    // As many as will come, at once.
    if (kind === statsTable) store.expect(r.stats[0].records - r.stats[0].logCut)
  }
  return join(r)
}

// Faults are columns of typed arrays, which grow. Of more than most the oldest are forgotten, which forgotten
// counts.
export class Faults {
  constructor(most = 4e6) {
    Object.assign(this, { most, length: 0, capacity: 0, forgotten: 0 })
    this.reserve(1 << 16)
  }

  reserve(capacity) {
    for (const column of faultShape) {
      if (!column) continue
      const [name, , type] = column, old = this[name]
      this[name] = new type(capacity)
      if (old) this[name].set(old.subarray(0, this.length))
    }
    this.capacity = capacity
  }

  // expect makes room for so many in all.
  expect(n) {
    if (n > this.capacity) this.reserve(Math.min(n, this.most))
  }

  // add takes the content of a frame.
  add(content) {
    const { rows, columns } = split(content)
    if (this.length + rows > this.most) this.forget(this.length >> 2)
    if (this.length + rows > this.capacity) this.reserve(Math.max(2 * this.capacity, this.length + rows))
    faultShape.forEach((column, i) => {
      if (!column) return
      const [name, kind] = column, bytes = columns.get(i + 1), out = this[name].subarray(this.length, this.length + rows)
      if (bytes) values(bytes, out, kind === 'step')
      else out.fill(0)
    })
    this.length += rows
  }

  // views are the columns as long as they are now.
  views() {
    const v = { length: this.length, forgotten: this.forgotten }
    for (const column of faultShape) if (column) v[column[0]] = this[column[0]].subarray(0, this.length)
    return v
  }

  forget(n) {
    for (const column of faultShape) if (column) this[column[0]].copyWithin(0, n, this.length)
    this.length -= n
    this.forgotten += n
  }
}

function join(r) {
  r.faults = r.store.views()
  r.origin = r.origin[0] ?? { start: 0, end: 0, startMono: 0, endMono: 0 }
  r.stats = r.stats[0] ?? {}
  r.ended = r.ended[0] ?? { count: 0, withFaults: 0, duration: 0, stall: 0, faults: 0 }
  labelled(r.regions)
  const named = new Map()
  for (const c of r.code) {
    if (!named.has(c.after)) named.set(c.after, [])
    named.get(c.after).push(c)
  }
  // A stack's first entry is the instruction itself, the others are the addresses behind theirs.
  r.frames = [[], ...r.stacks.map(({ pcs }) => pcs.flatMap((pc, i) => named.get(i === 0 ? pc + 1 : pc) ?? []))]
  r.spanOf = new Map(r.spans.map(x => [x.ref, x]))
  r.regionOf = new Map(r.regions.map(x => [x.id, x]))
  // The longest time for which one of its mappings was there before it was observed.
  for (const m of r.mappings) {
    const region = r.regionOf.get(m.region)
    if (region) region.unseen = Math.max(region.unseen ?? 0, m.latency)
  }
  return r
}

// labelled gives each region the shortest end of its path that no other one has, as summary.Labels does.
function labelled(regions) {
  const names = new Map(regions.map(x => [x.name, ''])), tail = (path, n) => path.split('/').slice(-n).join('/') || path
  for (let depth = 1, left = [...names.keys()]; left.length; depth++) {
    const sharing = new Map()
    for (const name of names.keys()) {
      const short = tail(name, depth).replace(/^\//, '')
      sharing.set(short, (sharing.get(short) ?? 0) + 1)
    }
    left = left.filter(name => {
      const short = tail(name, depth)
      if (short !== name && sharing.get(short) !== 1) return true
      names.set(name, short)
      return false
    })
  }
  for (const x of regions) x.label = names.get(x.name)
}

const requestsMost = 20000, spansMost = 100000

// merged adds the requests and spans of an earlier recording of the process to those of a later one, which has
// only what is new. The newest are kept.
export function merged(had, r) {
  const fresh = new Set(r.requests.map(q => q.span)), spans = new Map(had.spanOf)
  r.requests = [...had.requests.filter(q => !fresh.has(q.span)), ...r.requests].slice(-requestsMost)
  for (const [ref, x] of r.spanOf) { spans.delete(ref); spans.set(ref, x) }
  r.spans = [...spans.values()].slice(-spansMost)
  r.spanOf = new Map(r.spans.map(x => [x.ref, x]))
  return r
}
