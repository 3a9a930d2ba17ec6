// Waiting: always for an event, always with a deadline that says what was missing.

export const PATIENCE_MS = Number(process.env.PATIENCE_MS ?? 10_000)

/** Settles as `promise` does, or rejects after `ms` with a text that says what did not happen. */
export function within(promise, missing, ms = PATIENCE_MS) {
  let timer
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => {
      const text = typeof missing === 'function' ? missing() : missing
      reject(new Error(`${text} (waited ${ms} ms)`))
    }, ms)
  })
  return Promise.race([promise, late]).finally(() => clearTimeout(timer))
}

/** A list that can be waited on: everything that was pushed, and a wake-up for each push. */
export class Ledger {
  items = []
  #waiting = new Set()
  #stirred = false

  push(item) {
    this.items.push(item)
    if (this.#stirred || this.#waiting.size === 0) return
    // Once for all that comes in one go: a check may look at the whole list.
    this.#stirred = true
    setImmediate(() => {
      this.#stirred = false
      for (const check of [...this.#waiting]) check()
    })
  }

  /** Resolves with the first truthy `pick(items)`, now or after a later push; `missing` says what it waits for. */
  until(pick, missing, ms) {
    let check
    const found = new Promise(resolve => {
      check = () => {
        const result = pick(this.items)
        if (result) resolve(result)
      }
      this.#waiting.add(check)
      check()
    })
    const text = () =>
      typeof missing === 'function'
        ? `missing: ${missing(this.items)}`
        : `missing: ${missing}; there was ${JSON.stringify(this.items).slice(0, 3000)}`
    return within(found, text, ms).finally(() => this.#waiting.delete(check))
  }
}
