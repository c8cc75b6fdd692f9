import { byId, el, keeping, table, tile } from './dom.js'
import { Heatmap } from './heatmap.js'
import { cell, clamp, kept, place, requestName, sampled, shareOf, sumOf, totals, touchedOf, tracesOf, tree, whole, wholeOf, within } from './model.js'
import { panels } from './panels.js'
import { merged, read } from './recording.js'
import { base, bytes, count, duration, durations, hex, percent, withError } from './units.js'

const refreshEvery = 2000 // milliseconds between two looks at a live process
const findingsEvery = 5 // looks
let looks = 0

// page is what is shown: the recording, and the state that the address of the page keeps.
const page = { r: null, before: null, live: false, paused: false, sorted: {}, state: stateOf(location.hash) }
const map = new Heatmap(byId('map'), part => set({ part }))
map.drawn = () => {
  byId('map-scale').textContent = `A cell is ${duration(map.cell.time)} by ${bytes(map.cell.place)}; the fullest has ${count(map.most)}.${map.stood?.some(x => x > 0) ? ' The strip above: when all Ps stood in page faults, and nothing ran.' : ''}`
}
map.onhover = (part, left, top) => {
  const tip = byId('map-tip'), found = part && page.r ? cell(page.r, map.list, part) : null
  tip.hidden = !found
  if (!found) return
  const request = found.trace ? page.r.requests.find(q => q.entry && q.trace === found.trace) : null
  tip.replaceChildren(el('b', {}, `${count(found.faults)} first ${found.faults === 1 ? 'touch' : 'touches'}, waited ${duration(found.stall)}`),
    ...[`${durations([part.t0, part.t1]).join(' to ')}`, `offset ${bytes(part.o0)} to ${bytes(part.o1)}`, place(found.caller), request ? requestName(request) : '']
      .filter(Boolean).map(line => el('div', {}, line)))
  const room = byId('map').clientWidth
  tip.style.left = `${Math.max(Math.min(left + 14, room - tip.offsetWidth - 4), 0)}px`
  tip.style.top = `${top + 18}px`
}

function stateOf(hash) {
  const q = new URLSearchParams(hash.slice(1)), part = (q.get('part') ?? '').split('_').map(Number)
  return {
    region: q.has('region') ? Number(q.get('region')) : null, tab: panels[q.get('tab')] ? q.get('tab') : 'requests', span: q.get('span') ?? '',
    trace: q.get('trace') ?? '', part: part.length === 4 && part.every(Number.isFinite) ? { t0: part[0], t1: part[1], o0: part[2], o1: part[3] } : null,
  }
}

function hashOf({ region, tab, span, part }) {
  const q = new URLSearchParams()
  if (region !== null) q.set('region', region)
  if (part) q.set('part', [part.t0, part.t1, part.o0, part.o1].map(Math.round).join('_'))
  q.set('tab', tab)
  if (span) q.set('span', span)
  return '#' + q
}

// set changes the state, and so the address, and shows it.
function set(change) {
  if ('region' in change && change.region !== page.state.region) change.part ??= null
  Object.assign(page.state, change)
  history.replaceState(null, '', hashOf(page.state))
  show()
}

// load asks for a recording: of a process that goes on for what is new since the last one.
async function load() {
  const began = performance.now(), had = page.r?.faults.length ? page.r : null
  const since = had ? `&after=${had.faults.seq.at(-1)}&ended=${had.origin.endMono}` : ''
  const answer = await fetch('recording?stored=true' + since)
  if (!answer.ok) throw new Error((await answer.text()).trim() || answer.statusText)
  page.live = answer.headers.get('Firsttouch-Live') === 'true'
  page.traceURL = answer.headers.get('Firsttouch-Trace-Url') ?? ''
  const buffer = await answer.arrayBuffer(), fetched = performance.now(), known = had?.store.length ?? 0
  const r = read(buffer, had?.store)
  if (had && (r.origin.process !== had.origin.process || r.origin.startMono !== had.origin.startMono)) {
    page.r = null // another process answers now
    return load()
  }
  page.before = page.r
  page.r = had ? merged(had, r) : r
  const decoded = performance.now()
  show()
  // For those who measure: how long it took, and of how many faults.
  const drawn = performance.now()
  page.timing = { milliseconds: drawn - began, fetch: fetched - began, decode: decoded - fetched, draw: drawn - decoded, faults: page.r.faults.length, fresh: page.r.store.length - known, bytes: buffer.byteLength }
}

const show = () => keeping(draw)

// findings asks for what the result means. A live process is asked seldom: the answer costs more than the page's own.
async function findings() {
  const answer = await fetch('snapshot?faults=0')
  if (!answer.ok) return
  const { findings: list, memory } = await answer.json()
  byId('memory-section').hidden = !memory?.length
  byId('memory').replaceChildren(...table([{ name: '', left: true, text: x => x.name.replace(/_(bytes|us)$/, '').replaceAll('_', ' ') }, { name: '', left: true, text: x => x.text }], memory ?? []))
  byId('findings-section').hidden = !list?.length
  byId('findings').replaceChildren(...(list ?? []).map(f => el('li', {}, f.text, el('small', {}, `Try: ${f.try}. See: ${f.evidence}.`))))
}

function draw() {
  const { r, state } = page
  if (!r) return
  if (state.trace) {
    // The address that a trace links to.
    Object.assign(state, { span: r.requests.find(q => q.trace === state.trace && q.entry)?.span ?? '', tab: 'requests', trace: '' })
  }
  // Where the address names none, the region with the most faults.
  if (!r.regionOf.has(state.region)) state.region = r.regions.reduce((best, x) => (x.faults > (best?.faults ?? -1) ? x : best), null)?.id ?? 0
  showHead(r)
  for (const id of ['regions-section', 'map-section', 'selection-section']) byId(id).hidden = r.regions.length === 0
  if (r.regions.length === 0) {
    problem('Nothing is observed: no region of memory was named, or none was found. See the notes below, and the list of mappings: mappings?text=true.')
    return
  }
  const region = state.region, all = whole(r, region), part = state.part ? clamp(state.part, all, r.regionOf.get(region).granule) : all
  const request = state.span ? r.requests.find(q => q.span === state.span) : null
  const { spans, refs } = request ? tree(r, request) : {}
  const list = within(r, region, part, refs)
  showRegions(r, region)
  byId('map-region').textContent = r.regionOf.get(region).label
  byId('filter').replaceChildren(...(request ? [`Of the request ${requestName(request)} only. `, el('button', { type: 'button', onclick: () => set({ span: '' }) }, 'Of all')] : []))
  map.show(r.faults, list, r.origin.startMono, part, r.blocked)
  showSelection(r, region, list, part)
  showTabs({
    r, region, list, part, whole: !state.part, traces: state.part ? tracesOf(r, list) : null, request, spans, set, traceURL: page.traceURL, sorted: page.sorted, ofRequest: request ? within(r, region, all, refs) : [],
    zoomToRequest: () => set({ part: { ...all, t0: request.start - r.origin.startMono, t1: request.start + request.duration - r.origin.startMono } }),
  })
}

function showHead(r) {
  const o = r.origin, s = r.stats, took = Math.max(o.endMono - o.startMono, 1), before = page.before
  const stall = x => x.regions.reduce((sum, y) => sum + y.stallSum, 0)
  // Of a live process since the last look, of a recording since the start.
  const span = before ? Math.max(o.endMono - before.origin.endMono, 1) : took
  const faults = s.faults - (before?.stats.faults ?? 0), waited = stall(r) - (before ? stall(before) : 0)
  const mapped = r.regions.reduce((sum, x) => sum + x.mapped, 0), touched = sumOf(r.regions.map(touchedOf))
  byId('about').textContent = `${base(o.program)}, process ${o.process}: first touches from ${new Date(o.start / 1e6).toISOString().replace('T', ' ').slice(0, 19)} UTC, for ${duration(took)}. ${page.live ? (page.paused ? 'Paused.' : 'Live.') : 'A recording: ' + o.reason + '.'}`
  // What can fail in the service because of the profiler comes before everything else.
  const failing = s.userModeOnly ? r.notes.find(x => x.text.startsWith('system calls of this service can fail')) : null
  byId('failing').hidden = !failing
  byId('failing').textContent = failing ? failing.text[0].toUpperCase() + failing.text.slice(1) : ''
  byId('tiles').replaceChildren(
    tile('Touched of mapped', withError(touched.value, touched.error, bytes), `of ${bytes(mapped)}`),
    tile('First touches', count(s.faults), `${count(faults / (span / 1e9))} a second ${before ? 'now' : 'on average'}`),
    tile('Threads waiting', (waited / span).toFixed(2), before ? 'now, on average' : 'on average'),
    tile('All Ps stood', percent((s.blockedAll ?? 0) / took), `in page faults, at least ${duration(s.blockedAll ?? 0)}`),
    tile('Dropped', count(s.dropped), `${count(s.logCut)} in the totals only`),
    tile('Overhead', percent(s.overhead / took), 'of one processor core'),
    tile('Without a span', percent(s.records ? s.unattributed / s.records : 0), `stacks: ${s.stackSampling}`))
  byId('notes').replaceChildren(...[
    `Faults ${count(s.faults)} = records ${count(s.records)} + dropped ${count(s.dropped)}; from ${count(s.messages)} messages of the kernel.`,
    `Stacks: ${count(s.stacks)} taken, ${count(s.stacksMissed)} missed, ${count(s.stacksCut)} cut.`,
    ...(s.logCut ? [`${count(s.logCut)} first touches are in the totals only (agent.WithLogLimit): where and when they were is in no picture and no list.`] : []),
    ...(kept(r) < r.ended.count ? [`${count(r.ended.count)} requests ended, of which ${count(kept(r))} are known one by one; the others are in the sums only (agent.WithFlightRecorder).`] : []),
    ...r.regions.filter(sampled).map(x => `${x.label}: a part of it was observed; its figures are estimates from that, ± their standard errors. ${bytes(x.touched)} and ${count(x.faults)} first touches were seen.`),
    ...(r.faults.forgotten ? [`The page shows the latest ${count(r.faults.length)} first touches one by one; ${count(r.faults.forgotten)} earlier ones only in the totals.`] : []),
    ...r.regions.filter(x => x.note).map(x => `${x.label}: ${x.note}`), ...r.notes.filter(x => x !== failing).map(x => x.text),
  ].map(t => el('li', {}, t)))
  problem(r.cut && `The recording is cut off: ${r.cut}. What came before that is shown.`)
  byId('pause').hidden = !page.live
  byId('downloads').replaceChildren(...[['profile', 'profile.pb.gz'], ['address', 'address.pb.gz'], ['snapshot?faults=100000', 'snapshot.json'], ['recording', 'recording.ftr']]
    .map(([href, name]) => el('a', { href, download: name }, name)), el('a', { href: '#', role: 'button', id: 'order-file', onclick: orderFile }, 'order.csv'))
}

// orderFile saves the first touches of the part, in order.
function orderFile(e) {
  e.preventDefault()
  const { r, state } = page, f = r.faults, all = whole(r, state.region)
  const list = within(r, state.region, state.part ? clamp(state.part, all, r.regionOf.get(state.region).granule) : all)
  const rows = Array.from(list, i => `${f.seq[i]},${f.time[i] - r.origin.startMono},${hex(f.offset[i])},${f.stall[i]}`)
  const url = URL.createObjectURL(new Blob(['seq,time_ns,offset,stall_ns\n' + rows.join('\n') + '\n'], { type: 'text/csv' }))
  el('a', { href: url, download: 'order.csv' }).click()
  setTimeout(() => URL.revokeObjectURL(url), 1000)
}

function showRegions(r, chosen) {
  byId('regions').replaceChildren(...table([
    { name: 'region', left: true, text: x => el('button', { type: 'button', class: 'link', 'aria-pressed': String(x.id === chosen), onclick: () => set({ region: x.id }), title: x.name }, x.label) },
    { name: 'touched', bar: true, text: x => el('span', { class: 'track', title: percent(shareOf(x)) }, el('i', { style: `width:${100 * shareOf(x)}%` })) },
    { name: '', text: x => `${withError(touchedOf(x).value, touchedOf(x).error, bytes)} of ${bytes(wholeOf(x))}${x.mapped || !x.size ? '' : ', not mapped any more'}` },
    { name: 'never', text: x => bytes(Math.max(wholeOf(x) - touchedOf(x).value, 0)) },
    { name: 'faults', text: x => (sampled(x) ? withError(x.estimateFaults, x.estimateFaultsError, count) : count(x.faults)) },
    { name: 'stall', text: x => (sampled(x) ? withError(x.estimateStall, x.estimateStallError, duration) : duration(x.stallSum)) },
    { name: 'longest', text: x => duration(x.stallMax) },
    ...(r.regions.some(x => x.unseen) ? [{ name: 'found late by', text: x => (x.unseen ? el('span', { title: 'A mapping of it was there for at most so long before it was observed: what was touched until then is unknown.' }, duration(x.unseen)) : '') }] : []),
  ], r.regions, { chosen: x => x.id === chosen }))
}

function showSelection(r, region, list, part) {
  const t = totals(r, region, list, part)
  byId('selection').replaceChildren(
    tile('First touches', count(t.faults)), tile('Touched', bytes(t.touched)), tile('Stall', duration(t.stall), `longest ${duration(t.max)}`),
    tile('Time', duration(part.t1 - part.t0), `from ${duration(part.t0)}`), tile('Offsets', bytes(part.o1 - part.o0), `from ${hex(Math.round(part.o0))}`))
}

function showTabs(view) {
  const { tab } = page.state, keys = Object.keys(panels)
  byId('tabs').replaceChildren(...keys.map(k => el('button', {
    type: 'button', role: 'tab', id: 'tab-' + k, 'aria-selected': String(k === tab), 'aria-controls': 'panel', tabindex: k === tab ? 0 : -1, onclick: () => set({ tab: k }),
    onkeydown: e => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[e.key]
      if (!step) return
      set({ tab: keys[(keys.indexOf(k) + step + keys.length) % keys.length] })
    },
  }, panels[k].name)))
  byId('panel').setAttribute('aria-labelledby', 'tab-' + tab)
  byId('panel').replaceChildren(...panels[tab].make(view))
}

function problem(text) {
  byId('problem').hidden = !text
  byId('problem').textContent = text || ''
}

async function loop() {
  for (;;) {
    try {
      if (!page.paused && !document.hidden) {
        await load()
        if (looks++ % findingsEvery === 0) await findings()
      }
    } catch (e) {
      problem(`No answer: ${e.message}`)
    }
    if (page.r && !page.live) return
    await new Promise(done => setTimeout(done, refreshEvery))
  }
}

byId('reset').addEventListener('click', () => set({ part: null }))
byId('pause').addEventListener('click', () => {
  page.paused = !page.paused
  byId('pause').setAttribute('aria-pressed', String(page.paused))
  byId('pause').textContent = page.paused ? 'Go on' : 'Pause'
  if (page.r) showHead(page.r)
})
addEventListener('hashchange', () => { page.state = { ...page.state, ...stateOf(location.hash) }; show() })
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', show)
globalThis.firsttouch = page // for tests, and for who asks the console
loop()
