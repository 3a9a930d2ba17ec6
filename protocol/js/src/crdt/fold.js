// What a document's entries add up to. It changes as entries come; `document.js` makes a value of it.

import { saw } from './causality.js'
import { slotOf } from './base.js'
import { Slot } from './slot.js'

/** @typedef {import('./causality.js').Entry} Entry */

/**
 * What happened to a document: a state was taken over, an action came, left, or got its name from the server.
 * @typedef {{ state: any }} State
 * @typedef {Omit<Entry, 'arrival'>} Entered
 * @typedef {{ undone: string }} Undone
 * @typedef {{ processed: string, dot: string, context?: import('./causality.js').Context }} Processed
 * @typedef {State | Entered | Undone | Processed} Item
 */

export class Fold {
  root = new Slot()
  /** @type {Map<string, Entry>} */
  entries = new Map()
  /** @type {Set<string>} */
  #undone = new Set()
  /** What the server said of entries of this page. @type {Map<string, Processed>} */
  #named = new Map()
  // Entries that had seen more than was here when they came: what they take the place of may still come.
  /** @type {Entry[]} */
  #informed = []

  /**
   * False if it changes nothing, null if it has to be folded again from the start.
   * @param {Item} item
   */
  take(item) {
    if ('undone' in item) return this.#undo(item.undone)
    if ('processed' in item) return this.#name(item)
    if ('id' in item) return this.#add(item)
    this.root = slotOf(item.state)
    return true
  }

  /**
   * What all of them add up to, but for those that were undone.
   * @param {Item[]} items
   */
  static of(items) {
    let fold = new Fold()
    items.forEach(item => 'undone' in item && fold.#undone.add(item.undone))
    items.forEach(item => 'processed' in item && item.context && fold.#named.set(item.processed, item))
    items.forEach(item => 'undone' in item || fold.take(item))
    return fold
  }

  /** @param {Entered} item */
  #add(item) {
    if (this.entries.has(item.id) || this.#undone.has(item.id)) return false
    /** @type {Entry} */
    let entry = { ...item, arrival: this.entries.size }
    let named = this.#named.get(item.id)
    if (named && !entry.dots.length) Object.assign(entry, { context: named.context, dots: [named.dot] })
    this.entries.set(entry.id, entry)
    let counts = new Map()
    for (let change of entry.changes) {
      let places = JSON.stringify([change.kind, change.path])
      let number = counts.get(places) ?? 0
      this.root.apply(change, entry, number)
      counts.set(places, number + (change.verb === 'move' ? 1 : change.verb === 'insert' ? change.values.length : 0))
    }
    this.#retireLate(entry)
    if (entry.context) this.#informed.push(entry)
    return true
  }

  /** @param {Entry} entry */
  #retireLate(entry) {
    for (let later of this.#informed) {
      if (saw(later, entry)) later.changes.forEach(change => this.root.retire(change, later))
    }
  }

  /** @param {string} id */
  #undo(id) {
    this.#undone.add(id)
    return this.entries.has(id) ? null : false
  }

  /**
   * The server accepted an entry of this page, and its answer says under which name.
   * @param {Processed} item
   */
  #name({ processed, dot, context }) {
    let entry = this.entries.get(processed)
    if (!entry || entry.dots.length) return false
    let named = { ...entry, context, dots: [dot] }
    // What this page took its own author to have seen was wrong.
    if (context && [...this.entries.values()].some(it => it !== entry && saw(entry, it) !== saw(named, it))) return null
    Object.assign(entry, { context, dots: [dot] })
    this.#retireLate(entry)
    if (context) this.#informed.push(entry)
    return true
  }
}
