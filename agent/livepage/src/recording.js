import { inflateSync } from 'fflate'
import { arrays, objects } from './columns.js'

const magic = [0x89, 0x46, 0x54, 0x52, 0x0d, 0x0a, 0x1a, 0x0a]
const frameHead = 13

const n = name => [name, 'number'], s = name => [name, 'step'], t = name => [name, 'text'], id = name => [name, 'id'], l = name => [name, 'list']

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
  14: ['requests', [id('trace'), id('span'), id('parent'), n('entry'), n('kind'), t('name'), t('target'), s('start'), n('duration'), n('failed'),
    n('faults'), n('touched'), n('stall'), n('max'), n('treeFaults'), n('treeTouched'), n('treeStall'), n('treeMax')]],
}
const faultTable = 15, endTable = 16
// Without the addresses and the numbers of messages, which the page does not show.
const faultShape = [s('seq'), s('time'), s('offset'), null, n('stall'), s('goroutine'), s('span'), s('thread'), s('region'), s('stack'), null, n('access'), n('source')]

const crcTable = Int32Array.from({ length: 256 }, (_, i) => {
  for (let k = 0; k < 8; k++) i = i & 1 ? (i >>> 1) ^ 0x82f63b78 : i >>> 1
  return i
})

function crc32c(...parts) {
  let c = -1
  for (const b of parts) for (let i = 0; i < b.length; i++) c = (c >>> 8) ^ crcTable[(c ^ b[i]) & 255]
  return (c ^ -1) >>> 0
}

// read decodes a recording. Of one that is cut off or damaged it returns what is before that, with
// why in cut.
export function read(buffer) {
  const b = new Uint8Array(buffer), view = new DataView(buffer)
  if (magic.some((c, i) => b[i] !== c)) throw new Error('the answer is not a firsttouch recording')
  if (view.getUint16(8, true) !== 1) throw new Error('the recording was written by a newer firsttouch')
  const r = { cut: 'the end is missing' }
  for (const [name] of Object.values(tables)) r[name] = []
  const faults = Object.fromEntries(faultShape.filter(Boolean).map(([name]) => [name, []]))
  for (let at = 12; at + frameHead <= b.length;) {
    const kind = b[at], size = view.getUint32(at + 1, true), stored = view.getUint32(at + 5, true), from = at + frameHead
    if (from + stored > b.length) break
    const body = b.subarray(from, from + stored)
    if (crc32c(b.subarray(at, at + 9), body) !== view.getUint32(at + 9, true)) {
      r.cut = `the part at byte ${at} is damaged`
      break
    }
    const content = inflateSync(body, { out: new Uint8Array(size) })
    if (kind === faultTable) arrays(content, faultShape, faults)
    else if (tables[kind]) r[tables[kind][0]].push(...objects(content, tables[kind][1]))
    else if (kind === endTable) { r.cut = ''; break }
    at = from + stored
  }
  return join(r, faults)
}

function join(r, faults) {
  const length = faults.seq.reduce((sum, a) => sum + a.length, 0)
  r.faults = { length }
  for (const [name, parts] of Object.entries(faults)) {
    const all = new Float64Array(length)
    let at = 0
    for (const p of parts) { all.set(p, at); at += p.length }
    r.faults[name] = all
  }
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
  return r
}
