// Creators of the actions that the server merges. What each kind means is in the README of the server's CRDT crate.

/** @typedef {{ type: string, doc: string, [field: string]: any }} Action */
/** @typedef {string[] | undefined} Path */
/** @typedef {string | [string, number]} Element */
/** @typedef {{ after?: Element | null, before?: Element | null }} Gap */

/** @param {string} type @param {string} doc @param {Path} path @param {object} [fields] @returns {Action} */
const action = (type, doc, path, fields) => ({ type: `crdt/${type}`, doc, ...(path?.length ? { path } : {}), ...fields })
/** @param {string} kind */
const adding = kind => ({
  /** @param {string} doc @param {Path} path @param {any[]} values */
  add: (doc, path, ...values) => action(`${kind}/add`, doc, path, { values })
})
/** @param {string} kind */
const setOf = kind => ({
  ...adding(kind),
  /** @param {string} doc @param {Path} path @param {any[]} values */
  remove: (doc, path, ...values) => action(`${kind}/remove`, doc, path, { values })
})
/** @param {string} kind */
const flagOf = kind => ({
  /** @param {string} doc @param {Path} [path] */
  enable: (doc, path) => action(`${kind}/enable`, doc, path),
  /** @param {string} doc @param {Path} [path] */
  disable: (doc, path) => action(`${kind}/disable`, doc, path)
})
/** @param {string} kind */
const registerOf = kind => ({
  /** @param {string} doc @param {Path} path @param {any} value */
  set: (doc, path, value) => action(`${kind}/set`, doc, path, { value })
})
/** @param {string} kind */
const counterOf = kind => ({
  /** @param {string} doc @param {Path} [path] */
  add: (doc, path, by = 1) => action(`${kind}/add`, doc, path, { by })
})

export const map = {
  /** @param {string} doc @param {Path} [path] */
  remove: (doc, path) => action('map/remove', doc, path)
}

export const record = {
  /** @param {string} doc @param {Path} [path] @param {Record<string, any>} [fields] */
  create: (doc, path, fields = {}) => action('record/create', doc, path, { fields }),
  /** @param {string} doc @param {Path} path @param {Record<string, any>} fields */
  change: (doc, path, fields) => action('record/change', doc, path, { fields }),
  /** @param {string} doc @param {Path} [path] */
  delete: (doc, path) => action('record/delete', doc, path)
}

/** A gap is between two elements; a `Document` makes these actions by index. */
export const list = {
  /** @param {string} doc @param {Path} path @param {Gap} gap @param {any[]} values */
  insert: (doc, path, gap, values) => action('list/insert', doc, path, { ...gap, values }),
  /** @param {string} doc @param {Path} path @param {(Element | [string, number, number])[]} elements */
  delete: (doc, path, elements) => action('list/delete', doc, path, { elements }),
  /** @param {string} doc @param {Path} path @param {Element | undefined} element @param {Gap} gap */
  move: (doc, path, element, gap) => action('list/move', doc, path, { element, ...gap })
}

export const text = {
  /** @param {string} doc @param {Path} path @param {Gap} gap @param {string} added */
  insert: (doc, path, gap, added) => action('text/insert', doc, path, { ...gap, text: added }),
  /** @param {string} doc @param {Path} path @param {(Element | [string, number, number])[]} elements */
  delete: (doc, path, elements) => action('text/delete', doc, path, { elements })
}

export const set = setOf('set')
export const twoPhaseSet = setOf('two-phase-set')
export const lwwSet = setOf('lww-set')
export const growSet = adding('grow-set')
export const register = registerOf('register')
export const multiRegister = registerOf('multi-register')
export const enableWinsFlag = flagOf('enable-wins-flag')
export const disableWinsFlag = flagOf('disable-wins-flag')
export const counter = counterOf('counter')
export const growCounter = counterOf('grow-counter')

/**
 * Several actions on one document as one: all or none of them.
 * @param {[Action, ...Action[]]} actions
 * @returns {Action}
 */
export function batch(actions) {
  if (actions.length === 1) return actions[0]
  let changes = actions.map(({ type, doc, ...change }) => ({ op: type.slice('crdt/'.length), ...change }))
  return { type: 'crdt/batch', doc: actions[0].doc, changes }
}
