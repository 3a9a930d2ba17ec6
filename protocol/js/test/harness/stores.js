// Stores of Redux Toolkit and of plain Redux with the middleware, each a device of its own.

import 'fake-indexeddb/auto'

import { configureStore } from '@reduxjs/toolkit'
import { IDBFactory } from 'fake-indexeddb'
import { applyMiddleware, legacy_createStore as createStore } from 'redux'

import { createTidelog } from '../../src/redux.js'
import { httpOf, within } from './scene.js'

const EMPTY = { failed: [], list: [], sum: 0, ui: 'closed' }

export function reducer(state = EMPTY, action) {
  if (action.type === 'app/add') return { ...state, list: [...state.list, action.n], sum: state.sum + action.n }
  if (action.type === 'app/double') return { ...state, sum: state.sum * 2 }
  if (action.type === 'posts/say') return { ...state, list: [...state.list, action.n] }
  if (action.type === 'secret/add') return { ...state, sum: state.sum + action.n }
  if (action.type === 'ui/set') return { ...state, ui: action.value }
  if (action.type === 'tidelog/undone') return { ...state, failed: [...state.failed, action.payload.reason] }
  return state
}

/** A browser's IndexedDB: what outlives a page. */
export const browser = () => new IDBFactory()

const MAKERS = {
  plain: tidelog => createStore(tidelog.reducer(reducer), applyMiddleware(tidelog.middleware)),
  toolkit: tidelog =>
    configureStore({
      middleware: usual => usual().concat(tidelog.middleware),
      reducer: tidelog.reducer(reducer)
    })
}

/** A store of `scene` at the server `at`; it closes with the scene. */
export async function openStore(scene, at, { user, kind = 'toolkit', indexedDB = browser(), ...options }) {
  const usual = { sync: ['app/*', 'secret/*', 'posts/*', 'unheard/*'], token: user, url: httpOf(at) }
  const tidelog = createTidelog({ ...usual, indexedDB, name: `${user} ${Math.random()}`, user, ...options })
  tidelog.on('error', error => (tidelog.error = error))
  const store = MAKERS[kind](tidelog)
  store.tidelog = tidelog
  let open = true
  store.close = async () => {
    if (open) await tidelog.close()
    open = false
  }
  scene.onEnd(store.close)
  await within(tidelog.ready, 'the store is not ready')
  return store
}

/** Resolves when the state fits. */
export function reachesState(store, fits, missing) {
  let stop
  const found = new Promise(resolve => {
    const check = () => fits(store.getState()) && resolve()
    stop = store.subscribe(check)
    check()
  })
  const text = () => `${missing}; the state is ${JSON.stringify(store.getState())}, error ${store.tidelog.error}`
  return within(found, text).finally(() => stop())
}

/** Resolves when nothing waits for the server. */
export function settled({ tidelog }) {
  let stop
  const done = new Promise(resolve => {
    const check = () => tidelog.status.pending === 0 && resolve()
    stop = tidelog.on('state', check)
    check()
  })
  return within(done, () => `${tidelog.status.pending} actions wait`).finally(() => stop())
}

/** Dispatches, and waits for the verdict. */
export function send(store, action) {
  store.dispatch(action)
  return within(store.tidelog.verdict(action), () => `no verdict on ${JSON.stringify(action)}, ${store.tidelog.error}`)
}
