import { Document } from './document.js'
import { isOne } from './parse.js'

/**
 * A reducer over all documents, by name. The id and the time of an action are in its meta: the third argument, or
 * `action.meta` where a store has no room for one.
 * @param {{ client?: string }} [options]
 */
export function documents(options = {}) {
  /**
   * @param {Record<string, Document>} state
   * @param {any} action
   * @param {import('./document.js').Meta} [meta]
   */
  return (state = {}, action, meta = action.meta) => {
    if (isOne(action.type) || action.type === 'crdt/state') {
      if (!meta?.id && action.type !== 'crdt/state') return state
      return put(state, action.doc, state[action.doc] ?? new Document(action.doc, options), action, meta)
    }
    let told = action.type === 'logux/undo' || action.type === 'logux/processed' || action.type === '0/clean'
    if (!told) return state
    return Object.entries(state).reduce((next, [name, document]) => put(next, name, document, action, meta), state)
  }
}

/**
 * @param {Record<string, Document>} state
 * @param {string} name
 * @param {Document} document
 * @param {any} action
 * @param {import('./document.js').Meta} [meta]
 */
function put(state, name, document, action, meta) {
  let next = document.apply(action, meta)
  return next === state[name] ? state : { ...state, [name]: next }
}
