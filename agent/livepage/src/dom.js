// el makes an element: its attributes, then its children. Texts never become markup.
export function el(name, attrs = {}, ...children) {
  return fill(document.createElement(name), attrs, children)
}

export function svg(name, attrs = {}, ...children) {
  return fill(document.createElementNS('http://www.w3.org/2000/svg', name), attrs, children)
}

function fill(e, attrs, children) {
  for (const [k, v] of Object.entries(attrs)) {
    if (k.startsWith('on')) e.addEventListener(k.slice(2), v)
    else if (v !== false && v !== undefined) e.setAttribute(k, v === true ? '' : v)
  }
  e.append(...children.flat().filter(c => c !== null && c !== undefined))
  return e
}

export const byId = id => document.getElementById(id)

export const tile = (name, value, more) => el('div', {}, el('dt', {}, name), el('dd', {}, value, more ? el('small', {}, more) : null))

// table makes the head and body of a table. Columns are {name, text, left, value, sort}; a click on a
// head sorts where there is a value.
export function table(columns, rows, { chosen, most = 200, sorted, onsort } = {}) {
  const order = sorted && columns.find(c => c.name === sorted.name)
  if (order?.value) rows = [...rows].sort((a, b) => (sorted.up ? 1 : -1) * (order.value(a) < order.value(b) ? -1 : order.value(a) > order.value(b) ? 1 : 0))
  const head = columns.map(c => el('th', { class: c.left ? 'name' : false, scope: 'col', 'aria-sort': c === order ? (sorted.up ? 'ascending' : 'descending') : false },
    c.value && onsort ? el('button', { type: 'button', onclick: () => onsort({ name: c.name, up: c === order ? !sorted.up : false }) }, c.name) : c.name))
  const body = Array.from(rows.slice(0, most)).map(r => el('tr', { class: chosen?.(r) ? 'chosen' : false }, columns.map(c => el('td', { class: c.left ? 'name' : c.bar ? 'bar' : false }, c.text(r)))))
  const more = rows.length > most ? [el('tr', {}, el('td', { class: 'name', colspan: columns.length }, `${(rows.length - most).toLocaleString('en-US')} more are not listed.`))] : []
  const none = rows.length === 0 ? [el('tr', {}, el('td', { class: 'name', colspan: columns.length }, 'None.'))] : []
  return [el('thead', {}, el('tr', {}, head)), el('tbody', {}, body, more, none)]
}

// keeping makes a change that replaces elements, and leaves the focus and the scrolled lists where they
// were: the focus on the element at the same place, or on the chosen tab.
export function keeping(change) {
  const focused = document.activeElement, box = focused?.closest('#tabs, #regions, #panel, #filter')
  const within = () => [...box.querySelectorAll('button, a, summary, [tabindex]')]
  const at = box ? within().indexOf(focused) : -1
  const lists = () => [...document.querySelectorAll('main .scroll')]
  const scrolled = lists().map(e => e.scrollTop)
  change()
  lists().forEach((e, i) => { if (scrolled[i]) e.scrollTop = scrolled[i] })
  if (at < 0) return
  const to = box.id === 'tabs' ? box.querySelector('[aria-selected=true]') : within()[at]
  to?.focus({ preventScroll: true })
}
