// @logux/redux: stores on two pages that converge, and take back what the server undoes.

import { createStoreCreator } from '@logux/redux'
import assert from 'node:assert/strict'
import test from 'node:test'

import { within } from './harness/deadline.js'
import { oneClock, reaches } from './harness/pages.js'
import { RULES } from './harness/rules.js'
import { Scene, sharedServer } from './harness/scene.js'

const tidelog = await sharedServer({ config: RULES })

function reducer(state = { list: [], sum: 0 }, action) {
  if (action.type === 'app/add' || action.type === 'posts/add') {
    return { list: [...state.list, action.n], sum: state.sum + action.n }
  }
  if (action.type === 'secret/add') return { ...state, sum: state.sum + action.n }
  if (action.type === 'app/double') return { ...state, sum: state.sum * 2 }
  return state
}

async function storeOf(client) {
  const store = createStoreCreator(client)(reducer)
  await within(store.initialize, 'the store')
  return store
}

async function openStore(scene, at, options) {
  const client = scene.idlePage(at, { clock: oneClock, ...options })
  const store = await storeOf(client)
  client.start()
  await reaches(client, 'synchronized')
  return store
}

/** Resolves when the state fits. */
function reachesState(store, fits, missing) {
  let stop
  const found = new Promise(resolve => {
    const check = () => {
      if (fits(store.getState())) resolve()
    }
    stop = store.subscribe(check)
    check()
  })
  return within(found, () => `${missing}; the state is ${JSON.stringify(store.getState())}`).finally(() => stop())
}

test('what one store dispatches, the other has, in the same order', async t => {
  const scene = new Scene(t)
  const userId = scene.user()
  const [one, two] = [await openStore(scene, tidelog, { userId }), await openStore(scene, tidelog, { userId })]
  await one.dispatch.sync({ type: 'app/add', n: 1 })
  await two.dispatch.sync({ type: 'app/add', n: 2 })
  await one.dispatch.sync({ type: 'app/double' })
  for (const store of [one, two]) {
    await reachesState(store, i => i.sum === 6, 'a sum of 6')
    assert.deepEqual(store.getState().list, [1, 2])
  }
})

test('stores that dispatch at once end in one state', async t => {
  const scene = new Scene(t)
  const userId = scene.user()
  const stores = [await openStore(scene, tidelog, { userId }), await openStore(scene, tidelog, { userId })]
  const work = []
  for (let n = 1; n <= 50; n++) for (const store of stores) work.push(store.dispatch.sync({ type: 'app/add', n }))
  await Promise.all(work)
  for (const store of stores) await reachesState(store, i => i.list.length === 100, 'a hundred additions')
  const [one, two] = stores.map(i => i.getState())
  assert.equal(one.sum, two.sum)
})

test('a store takes back what the server undoes', async t => {
  const scene = new Scene(t)
  const store = await openStore(scene, tidelog, { userId: scene.user() })
  await store.dispatch.sync({ type: 'app/add', n: 1 })
  const verdict = store.dispatch.sync({ type: 'secret/add', n: 1000 })
  await reachesState(store, i => i.sum === 1001, 'the optimistic sum')
  await assert.rejects(verdict, /denied/)
  await reachesState(store, i => i.sum === 1, 'the former sum')
})

test('a store takes back what is undone while its clock runs an hour ahead', async t => {
  const scene = new Scene(t)
  const store = await openStore(scene, tidelog, { userId: scene.user(), clock: () => Date.now() + 3_600_000 })
  const verdict = store.dispatch.sync({ type: 'secret/add', n: 1000 })
  await assert.rejects(verdict, /denied/)
  await reachesState(store, i => i.sum === 0, 'the former sum')
})

test('a store that subscribes has the channel, then follows it', async t => {
  const scene = new Scene(t)
  const author = await openStore(scene, tidelog, { userId: scene.user() })
  await author.dispatch.sync({ type: 'posts/add', id: 'redux', n: 1 })
  const reader = await openStore(scene, tidelog, { userId: scene.user() })
  await reader.dispatch.sync({ type: 'logux/subscribe', channel: 'posts/redux' })
  assert.deepEqual(reader.getState().list, [1])
  await author.dispatch.sync({ type: 'posts/add', id: 'redux', n: 2 })
  await reachesState(reader, i => i.list.length === 2, 'the second')
})

test('what was dispatched offline is applied once on both sides', async t => {
  const scene = new Scene(t)
  const userId = scene.user()
  const proxy = await scene.proxy(tidelog)
  const one = await openStore(scene, proxy, { userId })
  const two = await openStore(scene, tidelog, { userId })
  const left = reaches(one.client, 'disconnected')
  proxy.goOffline()
  await left
  const work = [1, 2, 3].map(n => one.dispatch.sync({ type: 'app/add', n }))
  await two.dispatch.sync({ type: 'app/add', n: 10 })
  proxy.goOnline()
  await Promise.all(work)
  for (const store of [one, two]) {
    await reachesState(store, i => i.list.length === 4, 'four additions')
    assert.equal(store.getState().sum, 16)
  }
})
