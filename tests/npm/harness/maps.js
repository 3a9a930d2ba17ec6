// SyncMap stores of a page: its own template, because templates cache by item id, and lists to look at.

import { within } from './deadline.js'

/** Resolves with the store's value once it fits. */
export function storeUntil(store, fits, missing) {
  let stop
  const found = new Promise(resolve => {
    stop = store.subscribe(value => {
      if (fits(value)) resolve(value)
    })
  })
  const text = () => `missing: ${missing}; the store has ${JSON.stringify(store.get())}`
  return within(found, text).finally(() => stop())
}

export const create = ({ api, page, Template }, id, fields) => api.createSyncMap(page, Template, { id, ...fields })
export const change = ({ api, page, Template }, id, fields) => api.changeSyncMapById(page, Template, id, fields)
export const remove = ({ api, page, Template }, id) => api.deleteSyncMapById(page, Template, id)

const plain = ({ isLoading, ...fields }) => fields
const byId = (a, b) => (a.id < b.id ? -1 : 1)

/** The tasks of one page under one name. */
export class Maps {
  constructor(scene, page, plural, options) {
    this.scene = scene
    this.page = page
    this.api = page.kind.api
    this.Template = this.api.syncMapTemplate(plural, options)
  }

  /** A live list, mounted until the scene ends. */
  list(filter = {}) {
    const store = this.api.createFilter(this.page, this.Template, filter)
    return this.#mount(store)
  }

  item(id) {
    return this.#mount(this.Template(id, this.page))
  }

  #mount(store) {
    const stop = store.listen(() => {})
    this.scene.onEnd(stop)
    store.loading?.catch(() => {})
    return store
  }
}

/** What a list shows, without the marks of loading, in the order of ids. */
export const shown = store => (store.get().list ?? []).map(plain).sort(byId)

/** Resolves when the list is loaded and shows exactly these items. */
export function shows(store, items) {
  const wanted = JSON.stringify([...items].sort(byId).map(sorted))
  const fits = value =>
    !value.isLoading &&
    value.list.every(i => !i.isLoading) &&
    JSON.stringify(value.list.map(plain).sort(byId).map(sorted)) === wanted
  return storeUntil(store, fits, `a list of ${wanted}`)
}

/** Resolves when the item is loaded and has exactly these fields. */
export function has(store, item) {
  const wanted = JSON.stringify(sorted(item))
  const fits = value => !value.isLoading && JSON.stringify(sorted(plain(value))) === wanted
  return storeUntil(store, fits, `an item ${wanted}`)
}

function sorted(item) {
  return Object.fromEntries(Object.entries(item).sort(([a], [b]) => (a < b ? -1 : 1)))
}
