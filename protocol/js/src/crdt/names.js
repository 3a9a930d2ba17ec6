// Ids of actions as the two protocols write them: `"<ms> <node> <sequence>"` up to 5, and `"<t> <node>"` in 7, with
// t = sequence · 2^42 + ms in base 64. Elements of lists and texts are called by the first kind, whoever reads them.

const DIGITS = '-0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz'
const MS = 2 ** 42
const SEQUENCES = 2 ** 11
/** Stands between a node and a sequence that does not fit into t. */
const SEPARATOR = '\u001f'

/** @param {string} text */
function numberOf(text) {
  let number = 0
  for (let digit of text) {
    let value = DIGITS.indexOf(digit)
    number = value < 0 || number > 2 ** 47 ? NaN : number * 64 + value
  }
  return text ? number : NaN
}

/**
 * The id in three parts; undefined for what is no id.
 * @param {unknown} id
 * @returns {string | undefined}
 */
export function inThreeParts(id) {
  if (typeof id !== 'string') return undefined
  let [first = '', node = '', ...rest] = id.split(' ')
  if (rest.length > 0) return rest.length === 1 ? id : undefined
  let [name, digits] = node.split(SEPARATOR)
  let t = numberOf(first)
  let [ms, sequence] = digits === undefined ? [t % MS, Math.floor(t / MS)] : [t, numberOf(digits)]
  // What has a shorter name is not called by the longer one.
  let fits = digits === undefined || ms >= MS || sequence >= SEQUENCES
  return name && fits && ms >= 0 && sequence >= 0 ? `${ms} ${name} ${sequence}` : undefined
}
