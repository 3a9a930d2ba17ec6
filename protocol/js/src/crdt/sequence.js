// Lists and texts: places in an order that every replica computes alike, whatever came first. The order is that of a
// tree (FugueMax: Weidner and Kleppmann 2023), read left children, place, right children; what names a place that is
// not here waits for it.

import { compareStamps, saw } from './causality.js'

/** @typedef {import('./causality.js').Entry} Entry */
/** @typedef {import('./parse.js').Change} Change */
/** @typedef {import('./parse.js').Name} Name */

/**
 * Where an element stands or stood: what an insertion or a move made. The start and the end are places, too, of nothing.
 * @typedef {{
 *   entry: Entry, number: number, value: any, moved: Place | null, moves: Place[],
 *   parent: Place | null, side: 'left' | 'right', origin: Place, left: Place[], right: Place[],
 *   isErased?: boolean, isDeleted?: boolean, isStart?: boolean, called?: Name
 * }} Place
 */

/**
 * An insertion on its way in; `element` of a move.
 * @typedef {{
 *   entry: Entry, number: number, values: any[], after: Name | null, before: Name | null, element?: Name, isErased?: boolean
 * }} Pending
 */

/** @param {boolean} isStart */
const edge = isStart => /** @type {Place} */ (/** @type {unknown} */ ({ left: [], right: [], parent: null, isStart }))
/** @param {Name} name */
const key = ({ id, number }) => `${number} ${id}`

export class Sequence {
  #start = edge(true)
  #end = edge(false)
  /** By id and number. @type {Map<string, Map<number, Place>>} */
  #places = new Map()
  /** By the name that they wait for. @type {Map<string, Pending[]>} */
  #waiting = new Map()
  /** Names that were deleted, by id: the first, and how many. @type {Map<string, [number, number][]>} */
  #deleted = new Map()
  /** @type {Place[] | null} */
  #inOrder = null
  #hasBase = false

  /** @param {string} kind */
  constructor(kind) {
    this.isText = kind === 'text'
  }

  retire() {}

  /**
   * Begins with what a state says: each item after the one before it.
   * @param {{ value: any, entry: Entry, number: number, element?: Name }[]} items
   */
  plant(items) {
    this.#hasBase = true
    let parent = this.#start
    for (let { value, entry, number, element } of items) {
      /** @type {Place} */
      let place = { entry, number, value, moved: null, parent, side: 'right', origin: this.#end, left: [], right: [], moves: [] }
      attach(place)
      this.#file(place, entry.id, number)
      if (element) {
        place.called = element
        this.#file(place, element.id, element.number)
      }
      parent = place
    }
  }

  /**
   * `number`: what earlier changes of the entry have counted the places here to.
   * @param {Change} change
   * @param {Entry} entry
   * @param {number} number
   */
  admit(change, entry, number) {
    this.#inOrder = null
    if (change.verb === 'delete') {
      for (let names of change.elements) this.#delete(names)
      return
    }
    let { values = [undefined], after, before, element } = change
    this.#insert({ entry, number, values, after, before, element })
  }

  /**
   * The list, or what is above it, was removed: what the remover had seen goes.
   * @param {Entry} entry
   */
  erase(entry) {
    this.#inOrder = null
    /** @param {Place | Pending} of */
    let seen = of => saw(entry, of.entry)
    for (let places of this.#places.values()) {
      for (let place of places.values()) place.isErased ||= seen(place)
    }
    for (let pending of this.#waiting.values()) pending.forEach(one => (one.isErased ||= seen(one)))
  }

  value() {
    let shown = this.places().filter(place => this.#shows(place))
    if (!shown.length) return undefined
    let values = shown.map(place => origin(place).value)
    return this.isText ? values.join('') : values
  }

  /** What shows, in order: `{ value, element, place }`, with names as actions have them. */
  items() {
    let shown = this.places().filter(place => this.#shows(place))
    return shown.map(place => ({ value: origin(place).value, element: elementName(origin(place)), place: name(place) }))
  }

  /**
   * The gap before the item at `index`. On its right it names what comes next, shown or not: then nobody's insertion
   * can get between.
   * @param {number} index
   */
  gap(index) {
    let all = this.places()
    let shown = all.filter(place => this.#shows(place))
    if (index < 0 || index > shown.length) throw new RangeError(`there are ${shown.length} items, and none at ${index}`)
    let after = index ? shown[index - 1] : undefined
    let next = all[after ? all.indexOf(after) + 1 : 0]
    return { after: after ? name(after) : null, before: next ? name(next) : null }
  }

  /** All places in order, shown or not. */
  places() {
    this.#inOrder ??= read(this.#start, this.#end)
    return this.#inOrder
  }

  /** @param {Place} place */
  #shows(place) {
    let element = origin(place)
    if (element.isDeleted || element.isErased) return false
    let moves = element.moves.filter(move => !move.isErased)
    return moves.reduce((one, other) => (rank(one, other) < 0 ? other : one), element) === place
  }

  /** @param {Name} name */
  #resolve({ id, number }) {
    return this.#places.get(id)?.get(number)
  }

  /** @param {Place} place @param {string} id @param {number} number */
  #file(place, id, number) {
    let places = this.#places.get(id) ?? new Map()
    this.#places.set(id, places.set(number, place))
  }

  /**
   * A state does not name what was deleted, which gaps may: one of whose sides is here goes beside that.
   * @param {Pending} pending
   * @returns {Pending}
   */
  #mended(pending) {
    let { after, before } = pending
    let [left, right] = [after && this.#resolve(after), before && this.#resolve(before)]
    let all = this.places()
    if (before && !right && (!after || left)) {
      let next = all[left ? all.indexOf(left) + 1 : 0]
      return { ...pending, before: next ? reference(next) : null }
    }
    if (after && !left && (!before || right)) {
      let last = all[(right ? all.indexOf(right) : all.length) - 1]
      return { ...pending, after: last ? reference(last) : null }
    }
    return pending
  }

  /** @param {Pending} first */
  #insert(first) {
    let queue = [first]
    for (let next = queue.pop(); next; next = queue.pop()) {
      let pending = this.#hasBase ? this.#mended(next) : next
      let missing = [pending.after, pending.before, pending.element].find(one => one && !this.#resolve(one))
      if (missing) {
        let waiting = this.#waiting.get(key(missing)) ?? []
        this.#waiting.set(key(missing), [...waiting, pending])
      } else if (!this.#resolve({ id: pending.entry.id, number: pending.number })) {
        queue.push(...this.#integrate(pending))
      }
    }
  }

  /**
   * Puts places into the tree; returns what waited for them.
   * @param {Pending} pending
   */
  #integrate({ entry, number, values, after, before, element, isErased = false }) {
    let left = (after && this.#resolve(after)) ?? this.#start
    let right = (before && this.#resolve(before)) ?? this.#end
    let isLeft = (!after && !before) || isRightOf(right, left)
    let named = element && this.#resolve(element)
    let moved = named ? origin(named) : null
    let parent = isLeft ? right : left
    /** @type {'left' | 'right'} */
    let side = isLeft ? 'left' : 'right'
    /** @type {Pending[]} */
    let woken = []
    this.#inOrder = null
    values.forEach((value, at) => {
      /** @type {Place} */
      let place = { entry, number: number + at, value, moved, parent, side, origin: right, isErased, left: [], right: [], moves: [] }
      attach(place)
      this.#file(place, entry.id, place.number)
      if (moved) moved.moves.push(place)
      let isDeleted = this.#deleted.get(entry.id)?.some(([from, count]) => from <= place.number && place.number < from + count)
      if (isDeleted) origin(place).isDeleted = true
      let awaited = key({ id: entry.id, number: place.number })
      woken.push(...(this.#waiting.get(awaited) ?? []))
      this.#waiting.delete(awaited)
      parent = place
      side = 'right'
    })
    return woken
  }

  /** @param {Name & { count: number }} names */
  #delete({ id, number, count }) {
    this.#deleted.set(id, [...(this.#deleted.get(id) ?? []), [number, count]])
    for (let [at, place] of this.#places.get(id) ?? []) {
      if (number <= at && at < number + count) origin(place).isDeleted = true
    }
  }
}

/** @param {Place} place */
const origin = place => place.moved ?? place
/** @param {Place} place */
const elementName = place => (place.called ? written(place.called) : name(place))
/** @param {Place} one @param {Place} other */
const rank = (one, other) => compareStamps(one.entry, other.entry) || one.number - other.number

/** @param {Place} place @returns {Name} */
const reference = ({ entry, number }) => ({ id: entry.id, number })
/** @param {Name} name @returns {string | [string, number]} */
const written = ({ id, number }) => (number ? [id, number] : id)

/**
 * A place's name as actions have it.
 * @param {Place} place
 */
const name = place => written(reference(place))

/** @param {Place} place @param {Place} of */
function isRightOf(place, of) {
  for (let at = place; at.parent; at = at.parent) {
    if (at.parent === of) return at.side === 'right'
  }
  return false
}

/** @param {Place} place */
function attach(place) {
  let siblings = place.parent?.[place.side] ?? []
  let at = siblings.findIndex(other => beside(place, other) < 0)
  siblings.splice(at < 0 ? siblings.length : at, 0, place)
}

/** @param {Place} one @param {Place} other @returns {number} */
function beside(one, other) {
  if (one.side === 'left') return rank(one, other)
  return compare(other.origin, one.origin) || rank(other, one)
}

/**
 * Which of two places comes first.
 * @param {Place} one
 * @param {Place} other
 */
function compare(one, other) {
  if (one === other) return 0
  if (!one.parent || !other.parent) return one.parent ? -1 : 1 // Of the two edges only the end is a right origin.
  let [ours, theirs] = [line(one), line(other)]
  let at = 0
  while (at < ours.length && at < theirs.length && ours[at] === theirs[at]) at++
  if (at === 0) return ours[0]?.isStart ? -1 : 1
  let [a, b] = [ours[at], theirs[at]]
  if (!a) return b?.side === 'left' ? 1 : -1
  if (!b || a.side !== b.side) return a.side === 'left' ? -1 : 1
  let siblings = a.parent?.[a.side] ?? []
  return siblings.indexOf(a) - siblings.indexOf(b)
}

/**
 * A place and all that it hangs on, from the edge down to it.
 * @param {Place} place
 */
function line(place) {
  let all = []
  for (let at = /** @type {Place | null} */ (place); at; at = at.parent) all.push(at)
  return all.reverse()
}

/** @param {Place} start @param {Place} end */
function read(start, end) {
  /** @type {Place[]} */
  let all = []
  // A stack of its own, because typed text is a tree as deep as it is long.
  /** @type {{ place: Place, isOpen: boolean }[]} */
  let todo = []
  /** @param {Place[]} places */
  let put = places => places.toReversed().forEach(place => todo.push({ place, isOpen: false }))
  put([...start.right, ...end.left])
  for (let next = todo.pop(); next; next = todo.pop()) {
    let { place, isOpen } = next
    if (isOpen) {
      all.push(place)
    } else {
      put(place.right)
      todo.push({ place, isOpen: true })
      put(place.left)
    }
  }
  return all
}
