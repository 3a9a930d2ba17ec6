export * from './actions.js'
export { Document } from './document.js'
export { documents } from './reducer.js'
export { Malformed, isOne, parse } from './parse.js'
