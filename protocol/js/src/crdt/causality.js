// Who comes first, and who had seen whom.

/**
 * Where an action stands in the total order.
 * @typedef {{ time: number, node: string, sequence: number, created: number }} Stamp
 */

/**
 * An action as a document holds it. `dots` are the names that servers gave it, `arrival` counts what came before it.
 * @typedef {Stamp & {
 *   id: string, dots: string[], arrival: number, context?: Context, isOwn?: boolean, waits?: boolean, isBase?: boolean,
 *   changes: import('./parse.js').Change[]
 * }} Entry
 */

/**
 * What an author had seen: of each incarnation up to where everything, and ranges of its own actions beyond.
 * @typedef {Record<string, [number, ...[number, number][]]>} Context
 */

/**
 * The order of the server: by code point, as UTF-8 bytes compare. `<` compares UTF-16 units, which differs beyond the
 * basic plane.
 * @param {string} one
 * @param {string} other
 */
export function compareText(one, other) {
  if (one === other) return 0
  let length = Math.min(one.length, other.length)
  for (let at = 0; at < length; at++) {
    let [a, b] = [one.charCodeAt(at), other.charCodeAt(at)]
    if (a === b) continue
    let [high, higher] = [a >= 0xd800 && a < 0xe000, b >= 0xd800 && b < 0xe000]
    return high === higher ? a - b : high ? 1 : -1
  }
  return one.length - other.length
}

/**
 * One canonical writing of a JSON value, so that equal values are equal texts: object keys in order, no `-0`.
 * @param {any} value
 * @returns {string}
 */
export function canonical(value) {
  if (Array.isArray(value)) return `[${value.map(item => canonical(item === undefined ? null : item)).join(',')}]`
  if (typeof value === 'object' && value !== null) {
    let keys = Object.keys(value).filter(key => value[key] !== undefined).sort(compareText)
    return `{${keys.map(key => `${JSON.stringify(key)}:${canonical(value[key])}`).join(',')}}`
  }
  return typeof value === 'number' ? JSON.stringify(value + 0).replace('e+', 'e') : JSON.stringify(value)
}

const ID = /^(0|[1-9]\d{0,15}) ([^\s\u007f]+) (0|[1-9]\d{0,15})$/

/**
 * `"<ms> <node> <sequence>"`; undefined if it is not one.
 * @param {unknown} id
 */
export function parseId(id) {
  let parts = typeof id === 'string' ? ID.exec(id) : null
  if (!parts) return undefined
  let [created, sequence] = [Number(parts[1]), Number(parts[3])]
  let fits = created <= 2 ** 53 && sequence <= 2 ** 53 && new TextEncoder().encode(parts[2]).length <= 256
  return fits ? { created, node: parts[2], sequence } : undefined
}

/**
 * The total order of Logux clients: time, node, sequence, then the time in the id.
 * @param {Stamp} one
 * @param {Stamp} other
 */
export function compareStamps(one, other) {
  return (
    one.time - other.time ||
    compareText(one.node, other.node) ||
    one.sequence - other.sequence ||
    one.created - other.created
  )
}

const ANSWER = /^\d+ server:([0-9a-f]{16}):0*(\d+)(?: |$)/

/**
 * The name that a server gave what this id of its own speaks of: the entry that it answers, or the last entry of a
 * state. Undefined for other ids.
 * @param {unknown} id
 */
export function dotOfAnswer(id) {
  let parts = typeof id === 'string' ? ANSWER.exec(id) : null
  return parts ? `${parts[1]}:${parts[2]}` : undefined
}

/** @param {string} dot */
export function parseDot(dot) {
  let cut = dot.lastIndexOf(':')
  return { incarnation: dot.slice(0, cut), position: Number(dot.slice(cut + 1)) }
}

/**
 * Whether a context, `{ "<incarnation>": [prefix, [first, last]…] }`, covers a dot.
 * @param {Context} context
 * @param {string} dot
 */
function covers(context, dot) {
  let { incarnation, position } = parseDot(dot)
  let [prefix, ...own] = context[incarnation] ?? [0]
  return position <= prefix || own.some(([first, last]) => first <= position && position <= last)
}

/**
 * Whether the author of `one` had seen `other`. Nobody has seen their own entry before they made it.
 *
 * With the context that the server stored this is what the server says. Without it, or of an entry without a name, it
 * is an estimate: who acts on this page saw what is on it, and others saw what was made earlier and came here earlier.
 * Nobody but its own node has seen what still waits for the server.
 * @param {Entry} one
 * @param {Entry} other
 */
export function saw(one, other) {
  if (one === other) return false
  if (other.isBase) return true
  let { context } = one
  if (context) {
    if (other.dots.length) return other.dots.some(dot => covers(context, dot))
    if (other.waits) return one.node === other.node && one.sequence > other.sequence
  }
  return other.arrival < one.arrival && (one.isOwn || other.time <= one.time)
}
