// A document begun with what a `crdt/state` says of it, instead of with the entries that made it.
//
// Counters, registers and grow-only sets go on from it exactly. A state does not say what was removed and deleted, nor
// when values of sets came in: for those, what is made later counts, and what is older than the state brings a new one.

import { parseId } from './causality.js'
import { parseElement } from './parse.js'
import { newCell, KINDS } from './cells.js'
import { Sequence } from './sequence.js'
import { Slot } from './slot.js'

/** @typedef {import('./causality.js').Entry} Entry */
/** @typedef {{ value: any, id: string, time: number }} Written */

/**
 * Whoever acts has seen what a state says.
 * @param {string} id
 * @param {number} [time]
 * @returns {Entry}
 */
function past(id, time) {
  let { created, node, sequence } = parseId(id) ?? { created: -1, node: '', sequence: 0 }
  return { id, time: time ?? created, created, node, sequence, dots: [], arrival: -1, isBase: true, changes: [] }
}

/**
 * The place that `state` describes, and what is under it.
 * @param {any} state
 */
export function slotOf(state) {
  let slot = new Slot()
  if (state?.kind === 'map') {
    for (let [key, below] of Object.entries(state.keys ?? {})) slot.children.set(key, slotOf(below))
  } else if (KINDS.includes(state?.kind)) {
    slot.cells.set(state.kind, cellOf(state))
  }
  return slot
}

/** @param {any} state */
function cellOf({ kind, value, id, time, fields = {}, items, passages }) {
  if (items || passages) {
    let sequence = new Sequence(kind)
    sequence.plant(items ? itemsOf(items) : charactersOf(passages))
    return sequence
  }
  let cell = newCell(kind)
  /** @type {Admit} */
  let admit = (change, entry = past('', -1)) => cell.admit({ kind, verb: 'add', path: [], ...change }, entry, 0)
  if (kind.endsWith('counter')) admit({ by: value })
  else if (kind.endsWith('flag')) admit({ verb: value ? 'enable' : 'disable' })
  else if (kind === 'register') admit({ values: [value] }, past(id, time))
  else if (kind === 'multi-register') value.forEach((/** @type {any} */ one, /** @type {number} */ at) => admit({ values: [one] }, past('', at - value.length)))
  else if (kind === 'record') recordOf(/** @type {[string, Written][]} */ (Object.entries(fields)), admit)
  else admit({ values: value })
  return cell
}

/** @typedef {(change: import('./parse.js').Fields, entry?: Entry) => void} Admit */

/**
 * It was there at the latest when the first of its fields was written.
 * @param {[string, Written][]} fields
 * @param {Admit} admit
 */
function recordOf(fields, admit) {
  let first = Math.min(...fields.map(([, { time }]) => time), Infinity)
  let written = fields.find(([, { time }]) => time === first)?.[1]
  admit({ verb: 'create', fields: {} }, written && past(written.id, written.time))
  for (let [name, { value, id, time }] of fields) {
    admit({ verb: 'change', fields: Object.fromEntries([[name, value]]) }, past(id, time))
  }
}

/** @param {{ value: any, element: any, place?: any }[]} items */
function itemsOf(items) {
  return items.map(({ value, element, place }) => {
    let { id, number } = parseElement(place ?? element)
    return { value, entry: past(id), number, element: place ? parseElement(element) : undefined }
  })
}

/** @param {[string, number, string][]} passages */
function charactersOf(passages) {
  return passages.flatMap(([id, first, text]) => {
    let entry = past(id)
    return [...text].map((value, at) => ({ value, entry, number: first + at }))
  })
}
