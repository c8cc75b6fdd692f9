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
  const min = Math.round(ns / 60e9)
  return sign + (min < 120 ? min + ' min' : digits(ns / 3600e9) + ' h')
}

export const count = n => Math.round(n).toLocaleString('en-US')
export const percent = v => (v > 0 && v < 0.0001 ? '<0.01' : digits(v * 100)) + '%'
export const base = path => path.slice(path.lastIndexOf('/') + 1) || path
export const hex = n => '0x' + n.toString(16)

export const accessNames = ['read', 'write']
export const sourceNames = ['unknown', 'zero', 'page cache', 'disk', 'memory']

export function shortFunction(name) {
  const a = name.indexOf('['), z = name.lastIndexOf(']')
  if (a >= 0) name = name.slice(0, a) + '[…]' + name.slice(Math.max(a, z) + 1)
  return name.slice(name.lastIndexOf('/') + 1)
}
