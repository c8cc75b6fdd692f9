import uPlot from 'uplot'
import { el, keeping, svg, table } from './dom.js'
import { accessNames, base, bytes, count, duration, hex, percent, shortFunction, sourceNames } from './units.js'
import { callerOf, callers, flame, place, requestName } from './model.js'

const color = name => getComputedStyle(document.documentElement).getPropertyValue(name).trim()
const how = text => el('p', { class: 'soft' }, text)

// The panels of the tabs: each has a name, and a function that makes its elements from the page's view.
export const panels = {
  requests: { name: 'Requests', make: requests },
  callers: { name: 'Callers', make: callersPanel },
  flame: { name: 'Flame graph', make: flamePanel },
  latency: { name: 'Latency', make: latency },
  order: { name: 'Order', make: order },
  windows: { name: 'Working set', make: workingSet },
  events: { name: 'Events', make: events },
}

function requests(v) {
  if (v.request) return [requestView(v)]
  const start = v.r.origin.startMono, entries = v.r.requests.filter(q => q.entry)
  const all = v.whole ? entries : entries.filter(q => v.traces.has(q.trace) && q.start - start <= v.part.t1 && q.start + q.duration - start >= v.part.t0)
  const columns = [
    { name: 'request', left: true, text: q => el('button', { type: 'button', class: 'link', onclick: () => v.set({ span: q.span }) }, requestName(q)), value: requestName },
    { name: 'took', text: q => duration(q.duration), value: q => q.duration },
    { name: 'waited', text: q => duration(q.treeStall), value: q => q.treeStall },
    { name: 'share', text: q => percent(q.duration ? q.treeStall / q.duration : 0), value: q => q.treeStall / (q.duration || 1) },
    { name: 'faults', text: q => count(q.treeFaults), value: q => q.treeFaults },
    { name: 'longest', text: q => duration(q.treeMax), value: q => q.treeMax },
    { name: 'touched', text: q => bytes(q.treeTouched), value: q => q.treeTouched },
    { name: 'at', text: q => duration(q.start - v.r.origin.startMono), value: q => q.start },
    { name: 'trace', text: q => el('code', {}, q.trace.slice(0, 16)) },
  ]
  const { ended } = v.r, lost = ended.count - entries.length
  return [
    how((v.whole ? `${count(Math.max(ended.count, all.length))} requests, of which ${count(Math.max(ended.withFaults, all.filter(q => q.treeFaults).length))} had first touches, in the whole recording and all regions.${lost > 0 ? ` ${count(lost)} earlier ones are not listed: they are in these counts only.` : ''}`
      : `${count(all.length)} of ${count(entries.length)} requests have first touches in the part above. Their figures are of the whole request and all regions.`)
      + ' Waited is summed over goroutines, so that it can exceed the time taken. Choose one to see when it waited.'),
    sortable(v, 'requests', columns, all, { name: 'waited', up: false }),
  ]
}

// sortable is a table that remembers by what it is sorted.
function sortable(v, key, columns, rows, first) {
  const t = el('table', {})
  const show = sorted => keeping(() => { v.sorted[key] = sorted; t.replaceChildren(...table(columns, rows, { sorted, onsort: show })) })
  show(v.sorted[key] ?? first)
  return el('div', { class: 'scroll' }, t)
}

// requestView draws the spans of a request, and below them its faults by time and offset.
function requestView(v) {
  const { r, request: q, spans } = v, width = 1000, row = 22, plot = 150, left = 4
  const x = t => left + ((t - q.start) / (q.duration || 1)) * (width - 2 * left)
  const height = spans.length * row + plot + 44
  const art = svg('svg', { viewBox: `0 0 ${width} ${height}`, role: 'img', id: 'request-view', 'aria-label': `${requestName(q)}: ${q.treeFaults} first touches in ${duration(q.duration)}` })
  spans.forEach((s, i) => {
    const from = Math.max(x(s.start), left), to = Math.min(x(s.start + s.duration), width - left)
    art.append(svg('rect', { class: 'span', x: from, y: i * row + 2, width: Math.max(to - from, 1), height: row - 4, rx: 3 }),
      svg('text', { x: from + 5, y: i * row + 16 }, `${requestName(s)} · ${duration(s.duration)} · ${count(s.faults)} faults, ${duration(s.stall)}`))
  })
  const top = spans.length * row + 14, size = r.regionOf.get(v.region).size || 1
  art.append(svg('text', { class: 'label', x: left, y: top + 8 }, `first touches by time, and by offset in ${r.regionOf.get(v.region).label} (0 to ${bytes(size)}); as wide as the wait`))
  let shown = 0
  for (const i of v.ofRequest) {
    const f = r.faults, from = x(f.time[i]), y = top + 14 + (plot - 10) * (1 - f.offset[i] / size)
    shown++
    art.append(svg('rect', { class: 'fault', x: from, y: y - 2, width: Math.max(x(f.time[i] + f.stall[i]) - from, 1.5), height: 4 },
      svg('title', {}, `${duration(f.time[i] - q.start)} after the start: waited ${duration(f.stall[i])} for offset ${hex(f.offset[i])} (${sourceNames[f.source[i]]}), ${place(callerOf(r, f.stack[i]))}`)))
  }
  for (let k = 0; k <= 5; k++) {
    const anchor = k === 0 ? 'start' : k === 5 ? 'end' : 'middle'
    art.append(svg('text', { class: 'label', x: left + (k * (width - 2 * left)) / 5, y: height - 4, 'text-anchor': anchor }, duration((q.duration * k) / 5)))
  }
  return el('div', {},
    el('p', {}, el('button', { type: 'button', onclick: () => v.set({ span: '' }) }, 'All requests'), ' ',
      el('button', { type: 'button', onclick: () => v.zoomToRequest() }, 'Show its time in the heatmap'), ' ',
      el('strong', {}, requestName(q)), ` took ${duration(q.duration)} and waited ${duration(q.treeStall)} for ${count(q.treeFaults)} first touches; trace `, traceOf(v, q)),
    shown < q.treeFaults ? how(`${count(shown)} of its first touches in this region are known one by one.`) : null,
    el('div', { class: 'scroll' }, art))
}

// traceOf is the trace's id, as a link where the service has said where its traces are.
function traceOf(v, q) {
  const id = el('code', { id: 'trace' }, q.trace)
  if (!v.traceURL) return id
  return el('a', { href: v.traceURL.replaceAll('{trace}', q.trace).replaceAll('{span}', q.span), rel: 'noreferrer', title: 'this request among the traces' }, id)
}

function callersPanel(v) {
  const list = callers(v.r, v.list)
  const columns = [
    { name: 'code', left: true, text: c => el('details', {}, el('summary', {}, el('code', {}, c.function), c.file ? el('small', {}, `${c.file}:${c.line}`) : null),
      el('ol', { class: 'stack' }, (v.r.frames[c.stack] ?? []).map(f => el('li', {}, el('code', {}, f.function), ` ${base(f.file)}:${f.line}`)))), value: c => c.function },
    { name: 'stall', text: c => duration(c.stall), value: c => c.stall },
    { name: 'faults', text: c => count(c.faults), value: c => c.faults },
    { name: 'mean', text: c => duration(c.stall / c.faults), value: c => c.stall / c.faults },
    { name: 'longest', text: c => duration(c.max), value: c => c.max },
  ]
  return [how('The code that each first touch in the part above is named after: the innermost that does not only copy or compare for its caller. Open a row for one of its stacks.'),
    sortable(v, 'callers', columns, list, { name: 'stall', up: false })]
}

function flamePanel(v) {
  const root = flame(v.r, v.list), width = 1000, row = 19, art = svg('svg', { role: 'img', 'aria-label': 'Flame graph of the stall' })
  const depthOf = n => 1 + Math.max(0, ...[...n.kids.values()].map(depthOf))
  const draw = top => {
    art.replaceChildren()
    art.setAttribute('viewBox', `0 0 ${width} ${depthOf(top) * row}`)
    const box = (n, x, w, depth) => {
      if (w < 1) return
      let h = 0
      for (const c of n.name) h = (h * 31 + c.charCodeAt(0)) % 60
      art.append(svg('rect', { class: 'frame', x, y: depth * row, width: w, height: row - 1, fill: `hsl(${20 + h / 2} 85% ${62 + h / 5}%)`, onclick: () => draw(n === top ? root : n) },
        svg('title', {}, `${n.name}\n${duration(n.value)} of stall, ${percent(n.value / (root.value || 1))}, ${count(n.faults)} faults`)))
      const room = Math.floor((w - 6) / 6.4), name = shortFunction(n.name)
      if (room > 3) art.append(svg('text', { x: x + 3, y: depth * row + 13, style: 'fill:#1c1f23' }, name.length > room ? name.slice(0, room - 1) + '…' : name))
      let at = x
      for (const k of [...n.kids.values()].sort((a, b) => b.value - a.value)) {
        const kw = (w * k.value) / (n.value || 1)
        box(k, at, kw, depth + 1)
        at += kw
      }
    }
    box(top, 0, width, 0)
  }
  draw(root)
  return [how('Calls from the outermost (top) in; as wide as the stall of the first touches in the part above. Choose a frame to enlarge it, and again to go back.'),
    el('div', { class: 'scroll' }, art)]
}

// latency draws the exact histogram of the region, in steps of half a power of two; of a part of it that of the faults that are there.
function latency(v) {
  const { r, region } = v, bins = new Map(), bin = ns => Math.floor(2 * Math.log2(Math.max(ns, 1)))
  const add = (ns, which, n) => {
    const k = bin(ns), at = bins.get(k) ?? [0, 0]
    at[which] += n
    bins.set(k, at)
  }
  const disk = sourceNames.indexOf('disk')
  if (v.whole) {
    for (const b of r.buckets) if (b.region === region) add(b.upper, b.disk, b.count)
  } else {
    for (const i of v.list) {
      add(r.faults.stall[i], 0, 1)
      if (r.faults.source[i] === disk) add(r.faults.stall[i], 1, 1)
    }
  }
  const keys = [...bins.keys()].sort((a, b) => a - b), root = el('div', { id: 'latency' })
  if (keys.length === 0) return [how('No first touches yet.')]
  const xs = Array.from({ length: keys.at(-1) - keys[0] + 3 }, (_, i) => keys[0] - 1 + i)
  const axis = { stroke: color('--soft'), grid: { stroke: color('--line'), width: 1 }, ticks: { stroke: color('--line') } }
  const bars = uPlot.paths.bars({ size: [0.9] })
  requestAnimationFrame(() => new uPlot({
    width: Math.max(root.clientWidth - 16, 300), height: 260, legend: { show: true },
    scales: { x: { time: false } },
    axes: [{ ...axis, label: 'wait of a first touch', incrs: [1, 2, 4, 8], values: (_, s) => s.map(k => duration(2 ** (k / 2))) }, { ...axis, label: 'first touches', size: 70 }],
    series: [{ label: 'from', value: (_, k) => (k === null ? '' : duration(2 ** (k / 2))) },
      { label: 'all', paths: bars, fill: color('--mark'), stroke: color('--mark'), points: { show: false } },
      { label: 'of them from the disk', paths: bars, fill: color('--second'), stroke: color('--second'), points: { show: false } }],
  }, [xs, xs.map(k => bins.get(k)?.[0] ?? 0), xs.map(k => bins.get(k)?.[1] ?? 0)], root))
  return [how((v.whole ? 'All first touches of the region since the start, also those that are not in the heatmap.' : 'The first touches of the part above.')
    + ' Each bar is half a power of two wide; the wait is as the profiler saw it.'), root]
}

function order(v) {
  const f = v.r.faults
  const columns = [
    { name: 'seq', text: i => count(f.seq[i]) },
    { name: 'time', text: i => duration(f.time[i] - v.r.origin.startMono) },
    { name: 'offset', text: i => el('code', {}, hex(f.offset[i])) },
    { name: 'waited', text: i => duration(f.stall[i]) },
    { name: 'access', text: i => accessNames[f.access[i]] },
    { name: 'source', text: i => sourceNames[f.source[i]] },
    { name: 'goroutine', text: i => String(f.goroutine[i]) },
    { name: 'code', left: true, text: i => place(callerOf(v.r, f.stack[i])) },
  ]
  return [how('First touches of the part above, in the order in which the profiler took them from the kernel.'),
    el('div', { class: 'scroll' }, el('table', {}, table(columns, v.list)))]
}

const actorNames = ['program', 'gc', 'runtime', 'profiler', 'unknown']

// errorOf is the standard error of a size of a window.
const errorOf = (w, key) => w[key.startsWith('actors') ? key.replace('Touched', 'Error') : 'errors' + key[0].toUpperCase() + key.slice(1)]

// sizeOf is a size of a window in words, and its standard error where it has one.
function sizeOf(w, key) {
  if (w[key] < 0) return ['–']
  return errorOf(w, key) ? [bytes(w[key]), ` ± ${bytes(errorOf(w, key))}`] : [bytes(w[key])]
}

// estimated tells whether sizes of a window are estimates, because of what was left out in it or in earlier ones.
const estimated = w => (w.share > 0 && w.share < 1) || ['new', 'reused', 'never', 'touched10s', 'idle30s', 'idle2m', 'idle10m'].some(key => errorOf(w, key))

// workingSet draws what was touched in each window of a region that is armed again and again.
function workingSet(v) {
  const start = v.r.origin.startMono, all = v.r.windows.filter(w => w.region === v.region), known = all.filter(w => !w.failed)
  if (all.length === 0) return [how('This region is not armed again and again, so that only its first touches are known: FIRSTTOUCH_WINDOWS=10s or agent.WithWindows switches that on.')]
  const width = 1000, height = 170, left = 4
  // Of estimates from different shares what was used again may come out as more than all.
  const top = w => Math.max(w.touched, w.reused), most = Math.max(1, ...known.map(top)), t0 = all[0].start, t1 = all.at(-1).end
  const x = t => left + ((t - t0) / (t1 - t0 || 1)) * (width - 2 * left), y = n => 14 + (height - 34) * (1 - n / most)
  const art = svg('svg', { viewBox: `0 0 ${width} ${height}`, role: 'img', id: 'windows-chart', 'aria-label': `Memory touched in each of ${known.length} windows, ${bytes(most)} at most` })
  for (const w of all) {
    const from = x(w.start), to = Math.max(x(w.end) - 1, from + 0.5), words = key => sizeOf(w, key).join('')
    const title = () => svg('title', {}, w.failed ? `not known: ${w.failed}` : `${duration(w.start - start)}: touched ${words('touched')}, new ${words('new')}, used again ${words('reused')}, from the disk again ${words('reread')}`)
    if (w.failed) { art.append(svg('rect', { class: 'unknown', x: from, y: y(most), width: to - from, height: y(0) - y(most) }, title())); continue }
    art.append(svg('rect', { class: 'again', x: from, y: y(w.reused), width: to - from, height: y(0) - y(w.reused) }, title()),
      svg('rect', { class: 'fresh', x: from, y: y(top(w)), width: to - from, height: y(w.reused) - y(top(w)) }, title()))
  }
  art.append(svg('text', { class: 'label', x: left, y: 10 }, `${bytes(most)} touched`), svg('text', { class: 'label', x: left, y: height - 4 }, duration(t0 - start)),
    svg('text', { class: 'label', x: width - left, y: height - 4, 'text-anchor': 'end' }, duration(t1 - start)))
  const curve = v.r.curve.filter(p => p.region === v.region), misses = v.r.misses.filter(p => p.region === v.region)
  const sampled = known.some(estimated), size = (name, key) => ({ name, text: w => (w.failed ? '?' : sizeOf(w, key).map((t, i) => (i ? el('small', {}, t) : t))) })
  const columns = [
    { name: 'from', text: w => duration(w.start - start) }, { name: 'to', text: w => duration(w.end - start) },
    ...(sampled ? [{ name: 'observed', text: w => (w.failed ? '?' : percent(w.share)) }] : []),
    size('touched', 'touched'), { name: 'of mapped', text: w => (w.failed ? '?' : percent(w.touched / (w.mapped || 1))) },
    size('new', 'new'), size('used again', 'reused'), size('from disk again', 'reread'), size('last 10 s', 'touched10s'),
    size('idle 30 s', 'idle30s'), size('idle 2 min', 'idle2m'), size('idle 10 min', 'idle10m'), size('never', 'never'),
    ...actorNames.map((name, i) => [name, `actors${i}Touched`]).filter(([, key]) => known.some(w => w[key])).map(([name, key]) => size(`by ${name}`, key)),
    ...(known.length < all.length ? [{ name: '', left: true, text: w => w.failed }] : []),
  ]
  const byActor = known.some(w => actorNames.some((_, i) => w[`actors${i}Touched`]))
  const reused = p => (misses[misses.indexOf(p) - 1]?.miss ?? 1e6) - p.miss
  const curveColumns = [{ name: 'windows in a row', text: p => count(p.windows) }, { name: 'length', text: p => duration(p.length) }, { name: 'touched, mean', text: p => bytes(p.bytes) },
    ...(curve.some(p => p.error) ? [{ name: '± error', text: p => bytes(p.error) }] : [])]
  return [how('Each bar is a window: what was used in it, the upper part for the first time, the lower part also in a window before. A gap in the marks is a window that is not known.'),
    el('div', { class: 'scroll' }, art),
    how('The latest window first. Idle is what was used, and then not for so long; never is what the region could do without.' + (sampled ? ' Observed is the share of the region that was watched all through the window: the sizes are estimates from it, ± their standard errors; those that look beyond the window are from the least share so far.' : '') + (byActor ? ' By tells on whose behalf it was touched first in the window.' : '')),
    el('div', { class: 'scroll' }, el('table', { id: 'windows' }, table(columns, [...all].reverse()))),
    how('The mean size of the working set by the length of the window: where it stops growing, that much memory is enough.'),
    el('div', { class: 'scroll' }, el('table', { id: 'curve' }, table(curveColumns, curve))),
    how('The share of the first touches per window that a cache would miss if it gave up what was used least recently, with the standard error of the sample; and the share with a reuse distance, what was touched in between, up to that size and beyond that of the row above.'),
    el('div', { class: 'scroll' }, el('table', { id: 'misses' }, table([{ name: 'cache', text: p => bytes(p.bytes) }, { name: 'misses', text: p => percent(p.miss / 1e6) }, { name: '± error', text: p => (p.sample === 1e6 ? 'exact' : percent(p.error / 1e6)) }, { name: 'reused at that distance', text: p => percent(reused(p) / 1e6) }], misses)))]
}

function events(v) {
  const start = v.r.origin.startMono
  const names = { attached: 'observed', detached: 'not observed any more', rearmed: 'armed again', widened: 'opened with a neighbour', left: 'cannot be armed again', dropped: 'records lost', error: 'not resolved', note: 'note' }
  const columns = [
    { name: 'at', text: e => duration(e.time - start), value: e => e.time },
    { name: 'until', text: e => (e.last > e.time ? duration(e.last - start) : ''), value: e => e.last },
    { name: 'what', left: true, text: e => names[e.kind] ?? e.kind, value: e => e.kind },
    { name: 'how many', text: e => count(e.count), value: e => e.count },
    { name: 'region', left: true, text: e => (e.region ? base(e.region) : ''), value: e => e.region },
    { name: '', left: true, text: e => e.text },
  ]
  return [how('What happened to the regions and to the profiler, the latest first; what repeats itself within 30 s is one line. Lost records and errors are also in the figures under Trust and cost.'),
    sortable(v, 'events', columns, v.r.events, { name: 'at', up: false })]
}
