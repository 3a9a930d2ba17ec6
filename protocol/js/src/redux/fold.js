// The state of a store as two: `base`, what has come to count in the order of the log, and on top of it what this device
// did and has no verdict on. A verdict of the other kind, or an action of others, has the top put upon the new base.

/** @typedef {import('../http.js').Action} Action */
/** @typedef {import('../device.js').News} News */
/** @typedef {{ id?: string, action: Action }} Pending */

export const UNDONE = 'tidelog/undone'

/** @template S */
export class Fold {
  /** @type {Pending[]} */
  pending = []

  /**
   * @param {(state: S | undefined, action: any) => S} reducer
   * @param {S} state
   */
  constructor(reducer, state) {
    this.reducer = reducer
    /** What counts. */
    this.base = state
    /** What the store shows. */
    this.visible = state
  }

  /** Another past. @param {S} base */
  restart(base) {
    this.base = base
    this.visible = this.#top()
  }

  /** An action that is of this page alone: it counts at once. @param {any} action @param {S} visible what it made of the store */
  local(action, visible) {
    this.base = this.base === this.visible ? visible : this.reducer(this.base, action)
    this.visible = visible
  }

  /** @param {Pending} pending @param {S} visible what it made of the store */
  add(pending, visible) {
    this.pending.push(pending)
    this.visible = visible
  }

  /**
   * What has come to count, and what still waits.
   * @param {News[]} news
   * @param {Pending[]} pending
   */
  settle(news, pending) {
    const former = this.pending
    this.pending = pending
    for (const one of news) this.base = this.reducer(this.base, actionOf(one))
    // Confirmed as it is shown: nothing changes, and nothing need be drawn anew.
    const asShown = [...news.map(({ id, undone }) => (undone ? undefined : id)), ...pending.map(({ id }) => id)]
    if (asShown.length === former.length && asShown.every((id, i) => id !== undefined && id === former[i]?.id)) return
    this.visible = this.#top()
  }

  #top() {
    return this.pending.reduce((state, { action }) => this.reducer(state, action), this.base)
  }
}

/** @param {News} news */
function actionOf({ id, action, undone }) {
  return undone ? { payload: { action, id, reason: undone }, type: UNDONE } : action
}
