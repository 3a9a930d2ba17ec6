// Values of one kind at one place. A part of a value stands under the entry that put it there, until another takes
// its place whose author had seen it. What retires what is the table in the README of the server's CRDT crate.

import { canonical, compareStamps, compareText, saw } from './causality.js'
import { Sequence } from './sequence.js'

// Readers see the first kind that shows something, in this order.
export const KINDS = [
  'record', 'list', 'text', 'set', 'two-phase-set', 'lww-set', 'grow-set', 'multi-register', 'register',
  'enable-wins-flag', 'disable-wins-flag', 'counter', 'grow-counter'
]

/** @typedef {import('./causality.js').Entry} Entry */
/** @typedef {import('./parse.js').Change} Change */
/** @typedef {{ entry: Entry, text?: string, adds?: boolean, value?: any }} Part */

/** @param {Part} part @param {Entry} entry */
const isBefore = (part, entry) => compareStamps(part.entry, entry) < 0
/**
 * @template {Part} P
 * @param {P[]} parts
 * @param {(part: P) => boolean} retired
 */
const keep = (parts, retired) => parts.filter(part => !retired(part))

/** @param {Part[]} parts @param {Part} part */
function put(parts, part) {
  /** @param {Part} other */
  let same = other => other.entry === part.entry && other.text === part.text && other.adds === part.adds
  if (!parts.some(same)) parts.push(part)
}

/**
 * Of two writes the greater: by stamp, and for one entry that writes twice by text, and what is in before what is out.
 * @param {Part} one
 * @param {Part} other
 */
function rank(one, other) {
  let byText = () => compareText(one.text ?? '', other.text ?? '') || Number(one.adds) - Number(other.adds)
  return compareStamps(one.entry, other.entry) || byText()
}

/** @param {Part[]} parts */
const greatest = parts => parts.reduce((one, other) => (rank(one, other) < 0 ? other : one))

class Amounts {
  /** @type {{ entry: Entry, by: number }[]} */
  #parts = []
  retire() {}
  /** @param {Change} change @param {Entry} entry */
  admit({ by }, entry) {
    this.#parts.push({ entry, by })
  }
  /** @param {Entry} entry */
  erase(entry) {
    this.#parts = keep(this.#parts, part => saw(entry, part.entry))
  }
  value() {
    return this.#parts.length ? this.#parts.reduce((sum, part) => sum + part.by, 0) : undefined
  }
}

class Writes {
  /** @type {Part[]} */
  #parts = []
  /** @param {string} kind */
  constructor(kind) {
    this.isMulti = kind === 'multi-register'
  }
  /** @param {Change} change @param {Entry} entry */
  retire(change, entry) {
    this.#parts = keep(this.#parts, part => saw(entry, part.entry) && (this.isMulti || isBefore(part, entry)))
  }
  /** @param {Change} change @param {Entry} entry */
  admit({ values: [value] }, entry) {
    put(this.#parts, { entry, value, text: canonical(value), adds: true })
  }
  /** @param {Entry} entry */
  erase(entry) {
    this.#parts = keep(this.#parts, part => saw(entry, part.entry))
  }
  value() {
    if (!this.#parts.length) return undefined
    if (!this.isMulti) return greatest(this.#parts).value
    // Each different value once, where it was last written.
    let last = new Map()
    for (let part of [...this.#parts].sort(rank)) {
      last.delete(part.text)
      last.set(part.text, part.value)
    }
    return [...last.values()]
  }
}

class Switches {
  /** @type {Part[]} */
  #parts = []
  /** @param {string} kind */
  constructor(kind) {
    this.onlyOn = kind === 'enable-wins-flag'
  }
  /** @param {Change} change @param {Entry} entry */
  retire(change, entry) {
    this.erase(entry)
  }
  /** @param {Change} change @param {Entry} entry */
  admit({ verb }, entry) {
    let adds = verb === 'enable'
    if (adds || !this.onlyOn) put(this.#parts, { entry, adds })
  }
  /** @param {Entry} entry */
  erase(entry) {
    this.#parts = keep(this.#parts, part => saw(entry, part.entry))
  }
  value() {
    return this.#parts.length ? this.#parts.every(part => part.adds) : undefined
  }
}

class Elements {
  /** @type {Map<string, { value: any, parts: Part[] }>} */
  #values = new Map()
  /** @param {string} kind */
  constructor(kind) {
    this.kind = kind
  }
  /** @param {Change} change @param {Entry} entry */
  retire({ verb, values }, entry) {
    let adds = verb === 'add'
    /** @param {Part} part */
    let retires = part => {
      if (this.kind === 'lww-set') return isBefore(part, entry)
      return this.kind !== 'two-phase-set' || part.adds === adds
    }
    for (let text of values.map(canonical)) {
      this.#filter(text, part => saw(entry, part.entry) && retires(part))
    }
  }
  /** @param {Change} change @param {Entry} entry */
  admit({ verb, values }, entry) {
    let adds = verb === 'add'
    if (!adds && this.kind === 'set') return
    for (let value of values) {
      let text = canonical(value)
      let held = this.#values.get(text) ?? { value, parts: [] }
      this.#values.set(text, held)
      put(held.parts, { entry, adds })
    }
  }
  /** @param {Entry} entry */
  erase(entry) {
    for (let text of [...this.#values.keys()]) this.#filter(text, part => saw(entry, part.entry))
  }
  value() {
    /** @param {Part[]} parts */
    let isIn = parts => (this.kind === 'lww-set' ? greatest(parts).adds : parts.every(part => part.adds))
    let shown = [...this.#values].filter(([, { parts }]) => isIn(parts))
    return shown.length ? shown.sort((a, b) => compareText(a[0], b[0])).map(([, { value }]) => value) : undefined
  }
  /** @param {string} text @param {(part: Part) => boolean} retired */
  #filter(text, retired) {
    let held = this.#values.get(text)
    if (!held) return
    held.parts = keep(held.parts, retired)
    if (!held.parts.length) this.#values.delete(text)
  }
}

class Fields {
  /** @type {Map<string, Part[]>} */
  #writes = new Map()
  /** @type {Part[]} */
  #created = []
  /** @type {Part[]} */
  #deleted = []
  /** @param {Change} change @param {Entry} entry */
  retire({ verb, fields }, entry) {
    /** @param {Part} part */
    let outranked = part => saw(entry, part.entry) && isBefore(part, entry)
    if (verb !== 'delete') {
      for (let name of Object.keys(fields)) this.#filter(name, outranked)
      return
    }
    this.#created = keep(this.#created, outranked)
    this.#deleted = keep(this.#deleted, outranked)
    for (let name of [...this.#writes.keys()]) this.#filter(name, outranked)
  }
  /** @param {Change} change @param {Entry} entry */
  admit({ verb, fields }, entry) {
    if (verb === 'delete') return put(this.#deleted, { entry })
    if (verb === 'create') put(this.#created, { entry })
    for (let [name, value] of Object.entries(fields)) {
      if (value === undefined) continue
      let writes = this.#writes.get(name) ?? []
      this.#writes.set(name, writes)
      put(writes, { entry, value, text: canonical(value), adds: true })
    }
  }
  /** @param {Entry} entry */
  erase(entry) {
    /** @param {Part} part */
    let seen = part => saw(entry, part.entry)
    this.#created = keep(this.#created, seen)
    this.#deleted = keep(this.#deleted, seen)
    for (let name of [...this.#writes.keys()]) this.#filter(name, seen)
  }
  value() {
    if (!this.#writes.size && !this.#created.length && !this.#deleted.length) return undefined
    /** @type {Part | undefined} */
    let since
    if (this.#deleted.length) {
      let deleted = greatest(this.#deleted)
      let after = this.#created.filter(part => rank(part, deleted) > 0)
      if (!after.length) return undefined
      since = after.reduce((one, other) => (rank(one, other) > 0 ? other : one))
    }
    let last = [...this.#writes].map(([name, parts]) => ({ name, part: greatest(parts) }))
    let holds = last.filter(({ part }) => !since || !isBefore(part, since.entry))
    holds.sort((one, other) => compareText(one.name, other.name))
    return Object.fromEntries(holds.map(({ name, part }) => [name, part.value]))
  }
  /** @param {string} name @param {(part: Part) => boolean} retired */
  #filter(name, retired) {
    let parts = keep(this.#writes.get(name) ?? [], retired)
    if (parts.length) this.#writes.set(name, parts)
    else this.#writes.delete(name)
  }
}

/**
 * What a place has of one kind. `admit` gets, for lists and texts, what earlier changes of the entry counted to there.
 * @typedef {{
 *   retire(change: Change, entry: Entry): void, admit(change: Change, entry: Entry, number: number): void,
 *   erase(entry: Entry): void, value(): any
 * }} Cell
 */

/**
 * A value of this kind that nothing was done to.
 * @param {string} kind
 * @returns {Cell}
 */
export function newCell(kind) {
  if (kind === 'record') return new Fields()
  if (kind === 'list' || kind === 'text') return new Sequence(kind)
  if (kind === 'register' || kind === 'multi-register') return new Writes(kind)
  if (kind.endsWith('flag')) return new Switches(kind)
  return kind.endsWith('counter') ? new Amounts() : new Elements(kind)
}
