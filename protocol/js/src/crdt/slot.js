// One place in a document: what is under its keys, and its values by kind, side by side: whether an operation fits
// must not depend on what arrived first.

import { compareText } from './causality.js'
import { KINDS, newCell } from './cells.js'

/** @typedef {import('./causality.js').Entry} Entry */
/** @typedef {import('./parse.js').Change} Change */

export class Slot {
  /** @type {Map<string, Slot>} */
  children = new Map()
  /** @type {Map<string, import('./cells.js').Cell>} */
  cells = new Map()

  /**
   * The place that `path` leads to; undefined if nothing was done there.
   * @param {string[]} path
   * @returns {Slot | undefined}
   */
  at(path) {
    return path.reduce((slot, key) => slot?.children.get(key), /** @type {Slot | undefined} */ (this))
  }

  /**
   * Takes away what the change takes the place of.
   * @param {Change} change
   * @param {Entry} entry
   */
  retire(change, entry) {
    let slot = this.at(change.path)
    if (change.kind === 'map') slot?.erase(entry)
    else slot?.cells.get(change.kind)?.retire(change, entry)
  }

  /**
   * The same, and puts in what it brings.
   * @param {Change} change
   * @param {Entry} entry
   * @param {number} number
   */
  apply(change, entry, number) {
    this.retire(change, entry)
    if (change.kind === 'map') return
    /** @type {Slot} */
    let slot = this
    for (let key of change.path) {
      let child = slot.children.get(key) ?? new Slot()
      slot.children.set(key, child)
      slot = child
    }
    let cell = slot.cells.get(change.kind) ?? newCell(change.kind)
    slot.cells.set(change.kind, cell)
    cell.admit(change, entry, number)
  }

  /** @param {Entry} entry */
  erase(entry) {
    for (let child of this.children.values()) child.erase(entry)
    for (let cell of this.cells.values()) cell.erase(entry)
  }

  /**
   * What readers see; undefined when there is nothing.
   * @returns {any}
   */
  value() {
    let keys = [...this.children].map(([key, child]) => ({ key, value: child.value() }))
    let shown = keys.filter(({ value }) => value !== undefined).sort((one, other) => compareText(one.key, other.key))
    if (shown.length) return Object.fromEntries(shown.map(({ key, value }) => [key, value]))
    for (let kind of KINDS) {
      let value = this.cells.get(kind)?.value()
      if (value !== undefined) return value
    }
    return undefined
  }
}
