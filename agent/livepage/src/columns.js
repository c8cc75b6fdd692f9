// The tables of a recording, see docs/recording.md: columns of numbers, steps, reals, texts, bytes and lists.

const utf8 = new TextDecoder()

// Cursor reads varints. Values beyond 2^53 lose their lowest bits; times, offsets and addresses are below.
export class Cursor {
  constructor(bytes) { this.b = bytes; this.p = 0 }

  unsigned() {
    let v = 0, unit = 1
    for (;;) {
      if (this.p >= this.b.length) throw new Error('a column ends within a value')
      const c = this.b[this.p++]
      v += (c & 127) * unit
      if (c < 128) return v
      unit *= 128
    }
  }

  signed() {
    const v = this.unsigned()
    return v % 2 === 0 ? v / 2 : -(v + 1) / 2
  }

  // bits is a signed value of 64 bits of which all are needed, as a BigInt.
  bits() {
    let v = 0n
    for (let shift = 0n; ; shift += 7n) {
      if (this.p >= this.b.length) throw new Error('a column ends within a value')
      const c = this.b[this.p++]
      v |= BigInt(c & 127) << shift
      if (c < 128) return v & 1n ? -(v >> 1n) - 1n : v >> 1n
    }
  }

  bytes() {
    const n = this.unsigned()
    if (n > this.b.length - this.p) throw new Error('a column ends within a value')
    return this.b.subarray(this.p, this.p += n)
  }
}

// readers make a function that returns the values of a column, row by row.
const readers = {
  number: c => () => c.signed(),
  step: c => { let last = 0; return () => (last += c.signed()) },
  real: c => {
    const of = new DataView(new ArrayBuffer(8))
    let last = 0n
    return () => {
      last = BigInt.asIntN(64, last + c.bits())
      of.setBigInt64(0, last)
      return of.getFloat64(0)
    }
  },
  text: c => () => utf8.decode(c.bytes()),
  id: c => () => Array.from(c.bytes(), x => x.toString(16).padStart(2, '0')).join(''),
  list: c => {
    let last = 0
    return () => Array.from({ length: c.signed() }, () => (last += c.signed()))
  },
}
const absent = { number: 0, step: 0, real: 0, text: '', id: '', list: [] }

// split returns the number of rows of a table's content, and the bytes of each column by id.
export function split(content) {
  const c = new Cursor(content), rows = c.unsigned(), columns = new Map()
  while (c.p < content.length) {
    const id = c.unsigned()
    columns.set(id, c.bytes())
  }
  return { rows, columns }
}

// objects returns the rows as objects; shape is a list of name, kind, in the order of the ids from 1.
export function objects(content, shape) {
  const { rows, columns } = split(content)
  const out = Array.from({ length: rows }, () => ({}))
  shape.forEach((column, i) => {
    if (!column) return
    const [name, kind] = column, bytes = columns.get(i + 1)
    const next = bytes ? readers[kind](new Cursor(bytes)) : () => absent[kind]
    for (const row of out) row[name] = next()
  })
  return out
}

// values decodes a column of numbers or steps into a typed array: without a call for each value, since there
// are millions.
export function values(bytes, out, step) {
  let p = 0, last = 0
  for (let r = 0; r < out.length; r++) {
    // Up to 28 bits are whole numbers of 32 bits, which is the fast way.
    let c = bytes[p++], low = c & 127, v
    if (c > 127) {
      low |= ((c = bytes[p++]) & 127) << 7
      if (c > 127) {
        low |= ((c = bytes[p++]) & 127) << 14
        if (c > 127) low |= ((c = bytes[p++]) & 127) << 21
      }
    }
    if (c < 128) {
      v = (low >>> 1) ^ -(low & 1)
    } else {
      let wide = low, unit = 2 ** 28
      do {
        c = bytes[p++]
        wide += (c & 127) * unit
        unit *= 128
      } while (c > 127)
      v = low & 1 ? -(wide + 1) / 2 : wide / 2
    }
    out[r] = step ? (last += v) : v
  }
  if (p > bytes.length) throw new Error('a column ends within a value')
}
