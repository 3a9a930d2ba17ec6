// The cursor of a client outlives its page, for the servers at which the number in the client's own store says nothing. It
// counts together with that number: a store that has less has lost something, and the cursor must not skip it.

/** @typedef {{ getItem(key: string): any, setItem(key: string, value: string): any, removeItem(key: string): any }} Storage */

/**
 * A log of a client is written after the page was acknowledged: a cursor that is kept at once could claim what a page
 * that is closed now never stored.
 */
const KEEP_AFTER_MS = 1000

export class Cursors {
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer

  /** @param {string} url @param {Storage} [storage] */
  constructor(url, storage) {
    this.url = url
    this.storage = storage ?? usual()
  }

  /**
   * The cursor to go on with for a client whose store has everything up to `number`; none to start from the beginning.
   * @param {string} client
   * @param {number} number
   * @returns {Promise<string | undefined>}
   */
  async find(client, number) {
    const key = this.#key(client)
    try {
      const kept = JSON.parse((await this.storage.getItem(key)) ?? 'null')
      if (kept && number > 0 && kept.number <= number) return kept.cursor
      await this.storage.removeItem(key)
    } catch {
      // A storage that cannot be read has nothing for us: the log comes from the beginning.
    }
  }

  /**
   * Keeps `cursor` in a while.
   * @param {string} client
   * @param {number} number
   * @param {string} cursor
   */
  keep(client, number, cursor) {
    clearTimeout(this.#timer)
    this.#timer = setTimeout(async () => {
      try {
        await this.storage.setItem(this.#key(client), JSON.stringify({ number, cursor }))
      } catch {
        // It is full or closed: the next page starts further back.
      }
    }, KEEP_AFTER_MS)
  }

  /** What was to be kept is not. */
  drop() {
    clearTimeout(this.#timer)
  }

  /** @param {string} client */
  #key(client) {
    return `tidelog:cursor:${this.url}:${client}`
  }
}

/** @returns {Storage} */
function usual() {
  try {
    if (globalThis.localStorage) return globalThis.localStorage
  } catch {
    // A page without a place of its own may not even look.
  }
  const map = new Map()
  return {
    getItem: key => map.get(key),
    removeItem: key => map.delete(key),
    setItem: (key, value) => map.set(key, value)
  }
}
