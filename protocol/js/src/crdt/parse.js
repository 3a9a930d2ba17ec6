// CRDT actions as they are read, and what is wrong with one that is refused: the same words as the server's.

import { parseId } from './causality.js'

const STEP_MAX = 2 ** 53
const CHANGES_MAX = 1000
const KEYS_MAX = 32
const KEY_BYTES_MAX = 1024
const NAME_BYTES_MAX = 256

const ELEMENT =
  'an element is "<ms> <node> <sequence>" or ["<ms> <node> <sequence>", number], ' +
  'several are ["<ms> <node> <sequence>", first, count]'

/** @typedef {Record<string, any>} Fields */
/** @typedef {{ id: string, number: number }} Name */

/**
 * One operation at one place, with what it has beside that: `values`, `by`, `fields`, `after`, …
 * @typedef {{ kind: string, verb: string, path: string[] } & Fields} Change
 */

/** What is wrong with an action, and where. */
export class Malformed extends Error {
  /**
   * @param {string} place
   * @param {string} reason
   */
  constructor(place, reason) {
    super(`${place}: ${reason}`)
    this.name = 'Malformed'
    this.place = place
    this.reason = reason
  }
}

/** @param {string} text */
const bytes = text => new TextEncoder().encode(text).length
/** @param {unknown} value */
const isObject = value => typeof value === 'object' && value !== null && !Array.isArray(value)
/** @param {unknown} value @returns {value is number} */
const isSmall = value => typeof value === 'number' && Number.isInteger(value) && value >= 0 && value < 2 ** 32

// What each operation has beside its path.
/** @type {Record<string, (fields: Fields) => Fields>} */
const OPERATIONS = {
  'map/remove': () => ({}),
  'record/create': fields => ({ fields: written(fields) }),
  'record/change': fields => ({ fields: written(fields) }),
  'record/delete': () => ({}),
  'list/insert': fields => ({ ...gap(fields), values: values(fields) }),
  'list/delete': fields => ({ elements: elements(fields) }),
  'list/move': fields => ({ ...gap(fields), element: element(fields) }),
  'text/insert': fields => ({ ...gap(fields), values: characters(fields) }),
  'text/delete': fields => ({ elements: elements(fields) }),
  'register/set': fields => ({ values: [value(fields)] }),
  'multi-register/set': fields => ({ values: [value(fields)] }),
  'grow-set/add': fields => ({ values: values(fields) }),
  'enable-wins-flag/enable': () => ({}),
  'enable-wins-flag/disable': () => ({}),
  'disable-wins-flag/enable': () => ({}),
  'disable-wins-flag/disable': () => ({}),
  'counter/add': fields => ({ by: step(fields, false) }),
  'grow-counter/add': fields => ({ by: step(fields, true) })
}
for (let set of ['set', 'two-phase-set', 'lww-set']) {
  for (let verb of ['add', 'remove']) OPERATIONS[`${set}/${verb}`] = fields => ({ values: values(fields) })
}

/**
 * Whether clients dispatch actions of this type for a document; `crdt/state` comes from the server.
 * @param {unknown} type
 */
export function isOne(type) {
  return typeof type === 'string' && type.startsWith('crdt/') && type !== 'crdt/state'
}

/**
 * The document of a CRDT action and its changes. Throws `Malformed`.
 * @param {any} action
 * @returns {{ doc: string, changes: Change[] }}
 */
export function parse(action) {
  if (!isObject(action)) throw new Malformed('action', 'an object is needed')
  if (typeof action.doc !== 'string') throw new Malformed('doc', 'the name of a document is needed')
  if (!action.doc || bytes(action.doc) > NAME_BYTES_MAX) {
    throw new Malformed('doc', "a document's name has 1 to 256 bytes")
  }
  let type = typeof action.type === 'string' ? action.type : ''
  if (type === 'crdt/batch') return { doc: action.doc, changes: batch(action.changes) }
  if (!type.startsWith('crdt/')) throw new Malformed('type', "a CRDT action's type starts with `crdt/`")
  return { doc: action.doc, changes: [change(type.slice(5), action, 'type')] }
}

/** @param {unknown} changes */
function batch(changes) {
  if (!Array.isArray(changes)) throw new Malformed('changes', 'an array of changes is needed')
  let parsed = changes.map((one, at) => {
    try {
      let named = isObject(one) && typeof one.op === 'string'
      if (!named) throw new Malformed('op', 'the name of an operation is needed')
      return change(one.op, one, 'op')
    } catch (fault) {
      throw fault instanceof Malformed ? new Malformed(`changes[${at}].${fault.place}`, fault.reason) : fault
    }
  })
  if (!parsed.length || parsed.length > CHANGES_MAX) {
    throw new Malformed('changes', 'a batch has 1 to 1000 changes')
  }
  return parsed
}

/**
 * @param {string} name
 * @param {Fields} fields
 * @param {string} place
 * @returns {Change}
 */
function change(name, fields, place) {
  if (!Object.hasOwn(OPERATIONS, name)) throw new Malformed(place, `there is no operation \`${name}\``)
  let [kind = '', verb = ''] = name.split('/')
  return { kind, verb, ...OPERATIONS[name]?.(fields), path: path(fields.path) }
}

/** @param {unknown} keys @returns {string[]} */
function path(keys) {
  if (keys === undefined) return []
  if (!Array.isArray(keys)) throw new Malformed('path', 'a path is an array of keys')
  keys.forEach((key, at) => {
    if (typeof key !== 'string') throw new Malformed(`path[${at}]`, 'a key is a string')
    if (at === KEYS_MAX) throw new Malformed('path', 'a path has at most 32 keys')
    if (bytes(key) > KEY_BYTES_MAX) throw new Malformed(`path[${at}]`, 'a key has at most 1024 bytes')
  })
  return keys
}

/** @param {Fields} fields */
function value(fields) {
  if (fields.value === undefined) throw new Malformed('value', 'a value is needed')
  return fields.value
}

/** @param {Fields} fields */
function values(fields) {
  let missing = 'a value is needed, or several as `values`'
  return oneOrMore(fields, 'value', missing, 'an array with at least one value is needed')
}

/**
 * @param {Fields} fields
 * @param {string} name
 * @param {string} missing
 * @param {string} wrong
 * @returns {any[]}
 */
function oneOrMore(fields, name, missing, wrong) {
  let [one, more] = [fields[name], fields[`${name}s`]]
  if (one === undefined && more === undefined) throw new Malformed(name, missing)
  if (one !== undefined && more !== undefined) {
    throw new Malformed(`${name}s`, `either \`${name}\` or \`${name}s\`, not both`)
  }
  if (more === undefined) return [one]
  if (!Array.isArray(more) || !more.length) throw new Malformed(`${name}s`, wrong)
  return more
}

/**
 * @param {Fields} fields
 * @param {boolean} onlyUp
 */
function step(fields, onlyUp) {
  let by = fields.by === undefined ? 1 : fields.by
  if (!Number.isInteger(by) || Math.abs(by) > STEP_MAX || (onlyUp && by < 0)) {
    throw new Malformed('by', `a whole number ${onlyUp ? 'from 0 to 2^53' : 'from -2^53 to 2^53'} is needed`)
  }
  return by
}

/** @param {Fields} fields */
function written(fields) {
  if (fields.fields === undefined) return {}
  if (!isObject(fields.fields)) throw new Malformed('fields', 'an object is needed')
  if (Object.keys(fields.fields).some(name => bytes(name) > KEY_BYTES_MAX)) {
    throw new Malformed('fields', "a field's name has at most 1024 bytes")
  }
  return fields.fields
}

/** @param {Fields} fields */
function characters(fields) {
  if (typeof fields.text !== 'string' || !fields.text) {
    throw new Malformed('text', 'a string with at least one character is needed')
  }
  return [...fields.text]
}

/**
 * An element's name as an action has it.
 * @param {any} named
 * @param {string} place
 * @returns {Name}
 */
export function parseElement(named, place = 'element') {
  let [id, number] = Array.isArray(named) && named.length === 2 ? named : [named, 0]
  if (!parseId(id) || !isSmall(number)) throw new Malformed(place, ELEMENT)
  return { id, number }
}

/** @param {Fields} fields */
function element(fields) {
  if (fields.element === undefined) throw new Malformed('element', 'an element is needed')
  return parseElement(fields.element)
}

/** @param {Fields} fields */
function elements(fields) {
  let missing = 'an element is needed, or several as `elements`'
  let named = oneOrMore(fields, 'element', missing, 'an array with at least one element is needed')
  return named.map((one, at) => {
    let place = fields.element === undefined ? `elements[${at}]` : 'element'
    if (!Array.isArray(one) || one.length !== 3) return { ...parseElement(one, place), count: 1 }
    let first = parseElement(one.slice(0, 2), place)
    let count = one[2]
    if (!isSmall(count) || !count || first.number + count >= 2 ** 32) throw new Malformed(place, ELEMENT)
    return { ...first, count }
  })
}

/** @param {Fields} fields */
function gap(fields) {
  /** @param {string} name */
  let side = name => (fields[name] === undefined || fields[name] === null ? null : parseElement(fields[name], name))
  return { after: side('after'), before: side('before') }
}
