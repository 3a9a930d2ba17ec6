// One at a time among the tabs of a browser and its service worker, by Web Locks; among those of one process without.

/** @type {Map<string, Promise<unknown>>} */
const tails = new Map()

/**
 * @template T
 * @param {string} name
 * @param {() => Promise<T>} work
 * @param {AbortSignal} [signal] gives up waiting for the turn
 * @returns {Promise<T>}
 */
export function inTurn(name, work, signal) {
  const locks = globalThis.navigator?.locks
  if (locks) return locks.request(name, { signal }, work)
  const turn = (tails.get(name) ?? Promise.resolve()).then(() => {
    signal?.throwIfAborted()
    return work()
  })
  const tail = turn.catch(() => {})
  tails.set(name, tail)
  tail.then(() => tails.get(name) === tail && tails.delete(name))
  return turn
}
