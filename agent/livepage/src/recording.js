import { inflateSync } from 'fflate'
import { objects, split, values } from './columns.js'

const magic = [0x89, 0x46, 0x54, 0x52, 0x0d, 0x0a, 0x1a, 0x0a]
const frameHead = 13

const n = name => [name, 'number'], s = name => [name, 'step'], x = name => [name, 'real'], t = name => [name, 'text'], id = name => [name, 'id'], l = name => [name, 'list']

const tables = {
  1: ['origin', [t('program'), t('go'), t('system'), n('process'), t('writer'), n('written'), t('reason'), t('scope'), n('start'), n('end'), n('startMono'), n('endMono')]],
  3: ['regions', [n('id'), t('name'), n('kind'), n('granule'), n('size'), n('mapped'), n('touched'), n('faults'), n('messages'), n('coTouch'),
    n('stall'), n('max'), n('diskStall'), n('diskMax'), n('detached'), n('rearms'), n('widened'), t('note')]],
  5: ['buckets', [n('region'), n('disk'), s('upper'), n('count')]],
  7: ['stats', [n('faults'), n('messages'), n('records'), n('dropped'), n('logCut'), n('stacks'), n('stacksMissed'), n('stacksCut'), n('unattributed'),
    n('spansDropped'), n('resolveErrors'), n('overhead'), t('stackSampling'), t('placement'), t('lastError'), n('userModeOnly')]],
  8: ['notes', [t('text')]],
  9: ['code', [s('after'), s('pc'), s('entry'), t('function'), t('file'), n('line'), n('serves')]],
  10: ['stacks', [l('pcs')]],
  11: ['groups', [s('region'), s('stack'), n('access'), n('source'), n('faults'), n('bytes'), n('stall'), n('max')]],
  13: ['spans', [s('ref'), id('trace'), id('span'), n('faults'), n('stall'), n('max'), n('bytes'), l('regions')]],
  17: ['windows', [n('region'), s('start'), s('end'), t('failed'), n('touched'), n('fresh'), n('reused'), n('reread'), n('mapped'), n('never'),
    n('touched1s'), n('touched10s'), n('touched60s'), n('idle30s'), n('idle2m'), n('idle10m'), x('share'),
    // Standard errors.
    n('touchedError'), n('freshError'), n('reusedError'), n('neverError'), n('touched1sError'), n('touched10sError'), n('touched60sError'),
    n('idle30sError'), n('idle2mError'), n('idle10mError'),
    // Of the Go heap.
    n('program'), n('programError'), n('gc'), n('gcError'), n('runtime'), n('runtimeError'), n('profiler'), n('profilerError'), n('unknown'), n('unknownError')]],
  18: ['curve', [n('region'), n('windows'), n('length'), n('bytes'), n('error')]],
  19: ['misses', [n('region'), n('bytes'), n('miss'), n('error'), n('sample')]],
  20: ['events', [s('time'), s('last'), t('kind'), t('region'), t('text'), n('count')]],
  14: ['requests', [id('trace'), id('span'), id('parent'), n('entry'), n('kind'), t('name'), t('target'), s('start'), n('duration'), n('failed'),
    n('faults'), n('touched'), n('stall'), n('max'), n('treeFaults'), n('treeTouched'), n('treeStall'), n('treeMax')]],
}
const statsTable = 7, faultTable = 15, endTable = 16
// Without the addresses and the numbers of messages, which the page does not show.
const wide = Float64Array, id32 = Uint32Array, small = Uint8Array
const faultShape = [['seq', 'step', wide], ['time', 'step', wide], ['offset', 'step', wide], null, ['stall', 'number', wide], ['goroutine', 'step', wide],
  ['span', 'step', wide], ['thread', 'step', id32], ['region', 'step', id32], ['stack', 'step', id32], null, ['access', 'number', small], ['source', 'number', small]]

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
  const named = new Map()
  for (const c of r.code) {
    if (!named.has(c.after)) named.set(c.after, [])
    named.get(c.after).push(c)
  }
  // A stack's first entry is the instruction itself, the others are the addresses behind theirs.
  r.frames = [[], ...r.stacks.map(({ pcs }) => pcs.flatMap((pc, i) => named.get(i === 0 ? pc + 1 : pc) ?? []))]
  r.spanOf = new Map(r.spans.map(x => [x.ref, x]))
  r.regionOf = new Map(r.regions.map(x => [x.id, x]))
  return r
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
