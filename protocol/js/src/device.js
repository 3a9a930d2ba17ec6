// What a device keeps in IndexedDB, shared by the tabs of a page and its service worker: what it did and the server has
// not answered (`queue`), what has come to count since the state was last saved (`news`), and single `facts`, the cursor
// among them. News and the cursor that brought them are written in one transaction: neither is ever there without the other.

/** @typedef {import('./http.js').Action} Action */
/** @typedef {import('./http.js').Causality} Causality */
/** @typedef {Causality & { at?: number, id: string, time: number, action: Action, seen?: string, added?: number }} Queued */
/** @typedef {Causality & { at?: number, id: string, action: Action, time: number, added?: number, own?: boolean, undone?: string, channels?: string[] }} News */
/** @typedef {{ url: string, user: string, channels: string[], folds: boolean }} About `folds`: pages add the news up */
/** @typedef {{ life: number, through: number, version: number, state: any }} Snapshot */
/** @typedef {{ cursor?: string, life: number, floor: number, snapshot?: Snapshot, news: News[], queue: Queued[] }} Standing */
/** @typedef {{ cursor?: string, answered: number[], confirmed: Queued[], news: News[], reset?: boolean }} Change */

const PREFIX = 'tidelog:'
const VERSION = 1
const STORES = ['facts', 'queue', 'news']

/** News that stay when the state was saved, for tabs that have not read them yet. */
const NEWS_KEPT = 1000

export class Device {
  /**
   * @param {string} name a page has one for each user
   * @param {IDBFactory} [factory]
   * @returns {Promise<Device>}
   */
  static async open(name, factory = indexedDB) {
    const opening = factory.open(PREFIX + name, VERSION)
    opening.onupgradeneeded = () => {
      const db = opening.result
      db.createObjectStore('facts')
      db.createObjectStore('queue', { autoIncrement: true, keyPath: 'at' })
      db.createObjectStore('news', { autoIncrement: true, keyPath: 'at' })
    }
    const db = await done(opening)
    db.onversionchange = () => db.close()
    const device = new Device(name, db)
    await device.#name()
    return device
  }

  /** The names of all devices in this browser. @param {IDBFactory} [factory] */
  static async names(factory = indexedDB) {
    const names = (await factory.databases()).map(({ name }) => name ?? '')
    return names.filter(name => name.startsWith(PREFIX)).map(name => name.slice(PREFIX.length))
  }

  /** The second part of the client's name, the same for all tabs and the service worker. */
  client = ''

  /** @param {string} name @param {IDBDatabase} db */
  constructor(name, db) {
    this.name = name
    this.db = db
  }

  /** @param {string} key */
  async fact(key) {
    return done(this.db.transaction('facts').objectStore('facts').get(key))
  }

  /** @param {Record<string, any>} facts */
  async note(facts) {
    await this.#write(['facts'], ({ facts: store }) => {
      for (const [key, value] of Object.entries(facts)) store.put(value, key)
    })
  }

  /** @param {Queued} queued */
  async enqueue(queued) {
    await this.#write(['queue'], ({ queue }) => queue.add(queued))
  }

  /** What there is, with the news above `through`; above the saved state, if `through` is not given. @param {number} [through] */
  async standing(through) {
    const transaction = this.db.transaction(STORES)
    const [facts, queue, news] = STORES.map(name => transaction.objectStore(name))
    const get = async (/** @type {string} */ key) => facts && done(facts.get(key))
    const [cursor, life = 0, floor = 0, snapshot] = await Promise.all(['cursor', 'life', 'floor', 'snapshot'].map(get))
    const from = through ?? snapshot?.through ?? 0
    const [queued, fresh] = await Promise.all([
      done(/** @type {IDBObjectStore} */ (queue).getAll()),
      done(/** @type {IDBObjectStore} */ (news).getAll(IDBKeyRange.lowerBound(from, true)))
    ])
    return /** @type {Standing} */ ({ cursor, floor, life, news: fresh, queue: queued, snapshot })
  }

  /**
   * Writes what an exchange brought.
   * @param {Change} change
   */
  async change({ cursor, answered, confirmed, news, reset }) {
    const life = ((await this.fact('life')) ?? 0) + 1
    await this.#write(STORES, stores => {
      for (const at of answered) stores.queue.delete(at)
      for (const queued of confirmed) stores.queue.put(queued)
      if (reset) {
        stores.news.clear()
        stores.facts.delete('snapshot')
        stores.facts.put(life, 'life')
      }
      for (const one of news) stores.news.add(one)
      if (cursor !== undefined) stores.facts.put(cursor, 'cursor')
      else if (reset) stores.facts.delete('cursor')
    })
  }

  /**
   * Keeps a state that has all news up to `through`, and gives up those that nobody will want any more.
   * @param {Snapshot} snapshot
   */
  async save(snapshot) {
    const floor = Math.max(0, snapshot.through - NEWS_KEPT)
    const [life = 0, kept] = await Promise.all([this.fact('life'), this.fact('snapshot')])
    if (life !== snapshot.life || (kept && kept.through > snapshot.through)) return
    await this.#write(['facts', 'news'], ({ facts, news }) => {
      facts.put(snapshot, 'snapshot')
      facts.put(floor, 'floor')
      news.delete(IDBKeyRange.upperBound(floor))
    })
  }

  /** Drops all but the newest news, where nobody adds them up. */
  async trim() {
    const { news } = await this.standing(0)
    const last = news.at(-NEWS_KEPT)?.at
    if (last !== undefined) await this.#write(['news'], stores => stores.news.delete(IDBKeyRange.upperBound(last, true)))
  }

  /** Takes all news out. */
  async drain() {
    const { news } = await this.standing(0)
    const last = news.at(-1)?.at
    if (last !== undefined) await this.#write(['news'], stores => stores.news.delete(IDBKeyRange.upperBound(last)))
    return news
  }

  close() {
    this.db.close()
  }

  async #name() {
    const fresh = globalThis.crypto.randomUUID().slice(0, 13)
    await this.#write(['facts'], ({ facts }) => {
      const getting = facts.get('client')
      getting.onsuccess = () => {
        this.client = getting.result ?? fresh
        if (!getting.result) facts.put(fresh, 'client')
      }
    })
  }

  /**
   * @param {string[]} names
   * @param {(stores: Record<'facts' | 'queue' | 'news', IDBObjectStore>) => void} work
   * @returns {Promise<void>} when it is on disk
   */
  #write(names, work) {
    const transaction = this.db.transaction(names, 'readwrite')
    const written = new Promise((resolve, reject) => {
      transaction.oncomplete = () => resolve(undefined)
      transaction.onabort = () => reject(transaction.error ?? new Error('IndexedDB gave up a transaction'))
    })
    const stores = names.map(name => [name, transaction.objectStore(name)])
    work(Object.fromEntries(stores))
    return /** @type {Promise<void>} */ (written)
  }
}

/**
 * @template T
 * @param {IDBRequest<T>} request
 * @returns {Promise<T>}
 */
function done(request) {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result)
    request.onerror = () => reject(request.error)
  })
}
