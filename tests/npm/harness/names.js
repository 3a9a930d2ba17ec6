// What is written differently in each protocol: an action is `<ms> <node> <sequence>` in 4 and 5, `<t> <node>` in 7.

import { fromCompat, toCompat } from 'logux-core-7'

/** An id with three parts, whatever the page speaks that heard it. */
export function threeParts(id) {
  const parts = id.split(' ')
  if (parts.length === 3) return id
  const t = fromCompat(parts[0])
  const [node, sequence] = parts[1].split('\u001f')
  if (sequence !== undefined) return `${t} ${node} ${fromCompat(sequence)}`
  return `${t % 2 ** 42} ${node} ${Math.floor(t / 2 ** 42)}`
}

/** An id as a protocol writes it. */
export function nameOf(protocol, ms, node, sequence = 0) {
  if (protocol !== 7) return `${ms} ${node} ${sequence}`
  if (sequence > 2047) return `${toCompat(ms)} ${node}\u001f${toCompat(sequence).padStart(9, '-')}`
  return `${toCompat(sequence * 2 ** 42 + ms)} ${node}`
}

/** The same id as another protocol writes it. */
export function renamed(protocol, id) {
  const [ms, node, sequence] = threeParts(id).split(' ')
  return nameOf(protocol, Number(ms), node, Number(sequence))
}

/** The version of an application as a protocol writes it. */
export const subprotocolIn = (protocol, number) => (protocol === 4 ? `${number}.0.0` : number)
