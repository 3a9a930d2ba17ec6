// `@logux/redux`, unmodified, over HTTP.

import { isFirstOlder } from '@logux/core'
import { createStoreCreator } from '@logux/redux'
import assert from 'node:assert/strict'
import test from 'node:test'

import { answer } from '../src/connection/frames.js'
import { reaches, Scene, sharedServer, within } from './harness/scene.js'

const tidelog = await sharedServer()

function reducer(state = { list: [], sum: 0 }, action) {
  if (action.type === 'app/add') return { list: [...state.list, action.n], sum: state.sum + action.n }
  if (action.type === 'secret/add') return { ...state, sum: state.sum + action.n }
  return state
}

async function openStore(scene, options) {
  const client = scene.idlePage(tidelog, { keep: false, ...options })
  const store = createStoreCreator(client)(reducer)
  await within(store.initialize, 'the store')
  client.start()
  await reaches(client, 'synchronized')
  return store
}

function reachesState(store, fits, missing) {
  let stop
  const found = new Promise(resolve => {
    const check = () => fits(store.getState()) && resolve()
    stop = store.subscribe(check)
    check()
  })
  return within(found, () => `${missing}; the state is ${JSON.stringify(store.getState())}`).finally(() => stop())
}

test('what one store dispatches, the other has', async t => {
  const scene = new Scene(t)
  const userId = scene.user()
  const [one, two] = [await openStore(scene, { userId }), await openStore(scene, { userId })]
  await one.dispatch.sync({ n: 1, type: 'app/add' })
  await two.dispatch.sync({ n: 2, type: 'app/add' })
  for (const store of [one, two]) await reachesState(store, state => state.sum === 3, 'a sum of 3')
})

test('a store takes back what the server undoes', async t => {
  const store = await openStore(new Scene(t), { userId: 'undone' })
  await store.dispatch.sync({ n: 1, type: 'app/add' })
  const verdict = store.dispatch.sync({ n: 1000, type: 'secret/add' })
  await reachesState(store, state => state.sum === 1001, 'the optimistic sum')
  await assert.rejects(verdict, /denied/)
  await reachesState(store, state => state.sum === 1, 'the former sum')
})

test('an undo is later than what it undoes, whatever the clocks and the names of users', () => {
  const action = { n: 1, type: 'secret/add' }
  for (const user of ['ann', 'zoe']) {
    const meta = { id: `1000 ${user}:phone:tab 0`, time: 1000 }
    for (const now of [0, 1000, 1001, 2000]) {
      const [, undo] = answer([action, meta], { reason: 'denied', status: 'undone' }, now)
      assert.ok(isFirstOlder(meta, undo), `${user} at ${now}`)
    }
  }
})

test('a page whose clock is an hour ahead writes by the time of the server', async t => {
  const scene = new Scene(t)
  const userId = scene.user()
  const hour = 3_600_000
  const client = scene.idlePage(tidelog, { userId })
  client.node.now = () => Date.now() + hour
  client.log.generateId = () => `${Date.now() + hour} ${client.nodeId} 0`
  client.start()
  await reaches(client, 'synchronized')
  assert.ok(Math.abs(client.node.timeFix - hour) < 5000, `time fix ${client.node.timeFix}`)
  const desk = await scene.page(tidelog, { userId })
  await within(client.sync({ n: 1, type: 'app/add' }), 'the verdict')
  const [heard] = await desk.heard.until(items => items.length > 0 && items, 'the action')
  assert.ok(Math.abs(heard.meta.time - Date.now()) < 10_000, `time ${heard.meta.time - Date.now()}`)
})
