// A document as a value: each action that comes makes another one, and the old one stays what it was, as reducers
// need it.

import { dotOfAnswer, parseDot, parseId } from './causality.js'
import { Fold } from './fold.js'
import { isOne, Malformed, parse } from './parse.js'
import { inThreeParts } from './names.js'
import { Sequence } from './sequence.js'
import { batch, list, text } from './actions.js'

/** @typedef {import('./fold.js').Item} Item */
/** @typedef {{ item: Item, before: Link | null }} Link */
/** @typedef {import('./actions.js').Action} Action */

/**
 * What a document reads of an action's meta. `dots` and `context` are what the server stored, where a page is told; of
 * `logux/processed` they are those of the action that it answers.
 * `reasons` has `syncing` as long as a Logux client has something to send: of its own actions those wait, and without
 * `reasons` all do.
 * @typedef {{
 *   id?: string, time?: number, reasons?: string[], dots?: string[], context?: import('./causality.js').Context
 * }} Meta
 */

export class Document {
  #options
  /** The latest item; each knows the one before it. @type {Link | null} */
  #last = null
  /**
   * What they add up to, once somebody asked. It goes along to the next document; who reads the old one again folds
   * again.
   * @type {Fold | null}
   */
  #fold = null
  /** The last entry in the state that it began with. @type {string | null} */
  #base = null

  /**
   * `client`, `user:client`, says whose actions wait for the server until it says that they are processed.
   * @param {string} name
   * @param {{ client?: string }} [options]
   */
  constructor(name, { client } = {}) {
    this.name = name
    this.#options = { client }
  }

  /**
   * The document after this action; itself when the action changes nothing here.
   * @param {any} action
   * @param {Meta} [meta]
   * @returns {Document}
   */
  apply(action, meta = {}) {
    switch (action.type) {
      case 'crdt/state':
        return action.doc === this.name ? this.#takeOver(action.state ?? null, meta) : this
      case 'logux/undo':
        return this.#gone([action.id])
      case '0/clean':
        return this.#gone([action.id, ...(action.ids ?? [])])
      case 'logux/processed':
        return this.#processed(inThreeParts(action.id), meta.dots?.[0] ?? dotOfAnswer(inThreeParts(meta.id)), meta.context)
      default:
        return isOne(action.type) && action.doc === this.name ? this.#entered(action, meta) : this
    }
  }

  /** What readers see, null when there is nothing. */
  get value() {
    return this.at([]) ?? null
  }

  /**
   * What readers see at a path, undefined when there is nothing.
   * @param {string[]} path
   */
  at(path) {
    return this.#folded().root.at(path)?.value()
  }

  /** Ids of actions of this client that the server has not answered yet. */
  get pending() {
    return [...this.#folded().entries.values()].filter(isPending).map(entry => entry.id)
  }

  /**
   * The list at a path: its items with the names of their elements, and actions that change it by index.
   * @param {string[]} path
   */
  list(path = []) {
    let cell = this.#sequence(path, 'list')
    let items = cell?.items() ?? []
    /** @param {number} index */
    let gap = index => gapOf(cell, index)
    return {
      items,
      /** @param {number} index @param {any[]} values @returns {Action} */
      insert: (index, ...values) => list.insert(this.name, path, gap(index), values),
      /** @param {number} from @param {number} count @returns {Action} */
      delete: (from, count = 1) => list.delete(this.name, path, inRange(items, from, count).map(item => item.element)),
      /** @param {number} from @param {number} to @returns {Action} */
      move: (from, to) => list.move(this.name, path, inRange(items, from, 1)[0]?.place, gap(to))
    }
  }

  /**
   * The text at a path, and actions that change it. Indices count characters, not UTF-16 units.
   * @param {string[]} path
   */
  text(path = []) {
    let cell = this.#sequence(path, 'text')
    let items = cell?.items() ?? []
    /** @param {number} from @param {number} count @returns {Action} */
    let removal = (from, count = 1) => text.delete(this.name, path, inRows(inRange(items, from, count)))
    /** @param {number} index @param {string} added @returns {Action} */
    let insert = (index, added) => text.insert(this.name, path, gapOf(cell, index), added)
    return {
      value: items.map(item => item.value).join(''),
      insert,
      delete: removal,
      /**
       * What makes it read `wanted`, as one action: what differs between a common start and end. None if nothing does.
       * @param {string} wanted
       * @returns {Action | undefined}
       */
      become: wanted => {
        let { from, count, added } = difference(items.map(item => item.value), [...wanted])
        let changes = []
        if (added) changes.push(insert(from, added))
        if (count) changes.push(removal(from, count))
        let [first, ...more] = changes
        return first && batch([first, ...more])
      }
    }
  }

  /** @param {unknown[]} ids */
  #gone(ids) {
    return ids.reduce((/** @type {Document} */ next, id) => {
      let undone = inThreeParts(id)
      return undone === undefined ? next : next.#and({ undone })
    }, this)
  }

  /** @param {any} action @param {Meta} meta */
  #entered(action, meta) {
    let id = inThreeParts(meta.id)
    let stamp = parseId(id)
    if (!stamp || !id) throw new TypeError(`a CRDT action needs the id that its meta has, and this is none: ${meta.id}`)
    let changes
    try {
      changes = parse(action).changes
    } catch (fault) {
      if (fault instanceof Malformed) return this // The server refuses it, and so does every page.
      throw fault
    }
    let { dots = [], context, reasons } = meta
    if (dots.some(dot => this.#includes(dot))) return this
    let isOwn = this.#options.client !== undefined && stamp.node.startsWith(`${this.#options.client}:`)
    let waits = isOwn && reasons?.includes('syncing') !== false
    let { time = stamp.created } = meta
    return this.#and({ ...stamp, id, time, dots, context, isOwn, waits, changes })
  }

  /**
   * @param {string | undefined} id
   * @param {string | undefined} dot
   * @param {import('./causality.js').Context} [context]
   */
  #processed(id, dot, context) {
    let entry = this.#folded().entries.get(id ?? '')
    if (!id || !dot || !entry || entry.dots.length) return this
    if (!this.#includes(dot)) return this.#and({ processed: id, dot, context })
    // The state that came before this answer had it already.
    return this.#bare(this.#items().filter(item => !('id' in item) || item.id !== id))
  }

  /**
   * What is in the state goes: all that the server sent. What waits for the server stays.
   * @param {any} state
   * @param {Meta} meta
   */
  #takeOver(state, meta) {
    let next = new Document(this.name, this.#options)
    next.#base = dotOfAnswer(inThreeParts(meta.id)) ?? null
    let { entries } = this.#folded()
    /** @param {string} dot */
    let isAhead = dot => next.#base && parseDot(dot).incarnation === parseDot(next.#base).incarnation && !next.#includes(dot)
    /** @param {string} id */
    let stays = id => {
      let entry = entries.get(id)
      return entry !== undefined && (isPending(entry) || entry.dots.some(isAhead))
    }
    let kept = this.#items().filter(item => {
      if ('undone' in item) return true
      return 'processed' in item ? stays(item.processed) : 'id' in item && stays(item.id)
    })
    return next.#bare([{ state }, ...kept])
  }

  /**
   * Whether the state that the document began with has the entry of this name.
   * @param {string} dot
   */
  #includes(dot) {
    if (!this.#base) return false
    let [base, other] = [parseDot(this.#base), parseDot(dot)]
    return base.incarnation === other.incarnation && other.position <= base.position
  }

  /** @param {Item} item @returns {Document} */
  #and(item) {
    let fold = this.#folded()
    let taken = fold.take(item)
    if (taken === false) return this
    let next = this.#bare()
    next.#last = { item, before: this.#last }
    next.#fold = taken ? fold : null
    this.#fold = null
    return next
  }

  /**
   * The document of these items and no others.
   * @param {Item[]} items
   */
  #bare(items = []) {
    let next = new Document(this.name, this.#options)
    next.#base = this.#base
    next.#last = items.reduce((before, item) => ({ item, before }), /** @type {Link | null} */ (null))
    return next
  }

  /** @param {string[]} path @param {string} kind */
  #sequence(path, kind) {
    let cell = this.#folded().root.at(path)?.cells.get(kind)
    return cell instanceof Sequence ? cell : undefined
  }

  #items() {
    /** @type {Item[]} */
    let items = []
    for (let at = this.#last; at; at = at.before) items.push(at.item)
    return items.reverse()
  }

  #folded() {
    this.#fold ??= Fold.of(this.#items())
    return this.#fold
  }
}

/** @param {import('./causality.js').Entry} entry */
const isPending = entry => entry.waits && !entry.dots.length

/** @param {Sequence | undefined} cell @param {number} index */
function gapOf(cell, index) {
  if (cell) return cell.gap(index)
  if (index !== 0) throw new RangeError(`there are 0 items, and none at ${index}`)
  return { after: null, before: null }
}

/**
 * @template T
 * @param {T[]} items
 * @param {number} from
 * @param {number} count
 */
function inRange(items, from, count) {
  if (from < 0 || count < 1 || from + count > items.length) {
    throw new RangeError(`there are ${items.length} items, and not ${count} from ${from} on`)
  }
  return items.slice(from, from + count)
}

/**
 * Names that follow each other, in one: `[id, first, count]`.
 * @param {{ element: string | [string, number] }[]} items
 */
function inRows(items) {
  /** @type {[string, number, number][]} */
  let rows = []
  for (let { element } of items) {
    let [id, number] = Array.isArray(element) ? element : [element, 0]
    let row = rows.at(-1)
    if (row && row[0] === id && row[1] + row[2] === number) row[2]++
    else rows.push([id, number, 1])
  }
  return rows
}

/** @param {string[]} now @param {string[]} wanted */
function difference(now, wanted) {
  let from = 0
  while (from < now.length && from < wanted.length && now[from] === wanted[from]) from++
  let end = 0
  while (end < now.length - from && end < wanted.length - from && now.at(-1 - end) === wanted.at(-1 - end)) end++
  return { from, count: now.length - end - from, added: wanted.slice(from, wanted.length - end).join('') }
}
