// Numbers as people read them: binary sizes, durations from nanoseconds, three significant digits.

const digits = v => (v < 9.995 ? v.toFixed(2) : v < 99.95 ? v.toFixed(1) : v.toFixed(0))

export function bytes(n) {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB', 'EiB']
  let u = 0
  while (n >= 1000 && u < units.length - 1) { n /= 1024; u++ }
  return (u === 0 ? Math.round(n) : digits(n)) + ' ' + units[u]
}

export function duration(ns) {
  const sign = ns < 0 ? '−' : ''
  ns = Math.abs(ns)
  if (ns < 1e3) return sign + Math.round(ns) + ' ns'
  if (ns < 1e6) return sign + digits(ns / 1e3) + ' µs'
  if (ns < 1e9) return sign + digits(ns / 1e6) + ' ms'
  if (ns < 600e9) return sign + digits(ns / 1e9) + ' s'
  return sign + clock(Math.round(ns / 1e9))
}

// clock writes whole seconds from minutes on: 18m 41s, 2h 05m 10s.
function clock(s) {
  const two = n => String(n).padStart(2, '0'), h = Math.floor(s / 3600), m = Math.floor(s / 60) % 60
  return h ? `${h}h ${two(m)}m ${two(s % 60)}s` : `${m}m ${two(s % 60)}s`
}

// durations labels an axis: all in one unit, with as many digits as two neighbours need to differ.
export function durations(values) {
  const most = Math.max(...values.map(Math.abs)), step = values.length > 1 ? Math.abs(values[1] - values[0]) : most
  if (most >= 600e9 && step >= 1e9) return values.map(v => clock(Math.round(v / 1e9)))
  const [unit, name] = [[1e9, 's'], [1e6, 'ms'], [1e3, 'µs']].find(([u]) => most >= u) ?? [1, 'ns']
  const places = step > 0 ? Math.min(Math.max(Math.ceil(-Math.log10(step / unit) - 1e-9), 0), 9) : 0
  return values.map(v => `${(v / unit).toFixed(places)} ${name}`)
}

// withError writes a value with its standard error, where it has one.
export const withError = (value, error, unit) => (error ? `${unit(value)} ± ${unit(error)}` : unit(value))

export const count = n => Math.round(n).toLocaleString('en-US')
export const percent = v => (v > 0 && v < 0.0001 ? '<0.01' : digits(v * 100)) + '%'
export const base = path => path.slice(path.lastIndexOf('/') + 1) || path
export const hex = n => '0x' + n.toString(16)

export const accessNames = ['read', 'write', 'unknown']
export const sourceNames = ['unknown', 'zero', 'page cache', 'disk', 'memory']

export function shortFunction(name) {
  const a = name.indexOf('['), z = name.lastIndexOf(']')
  if (a >= 0) name = name.slice(0, a) + '[…]' + name.slice(Math.max(a, z) + 1)
  return name.slice(name.lastIndexOf('/') + 1)
}
