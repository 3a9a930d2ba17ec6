// Plain Redux and Redux Toolkit without any Logux package.

import assert from 'node:assert/strict'
import test from 'node:test'

import { Scene, sharedServer, storedLog, within } from './harness/scene.js'
import { browser, openStore, reachesState, send, settled } from './harness/stores.js'

const tidelog = await sharedServer()
const add = n => ({ n, type: 'app/add' })
const double = () => ({ type: 'app/double' })

function inBothKinds(title, story) {
  for (const kind of ['plain', 'toolkit']) test(`${title} (${kind})`, t => story(new Scene(t), kind))
}

inBothKinds('what one store does counts there at once, and comes to the others', async (scene, kind) => {
  const user = scene.user()
  const [one, two] = [await openStore(scene, tidelog, { kind, user }), await openStore(scene, tidelog, { kind, user })]
  const action = add(1)
  one.dispatch(action)
  assert.equal(one.getState().sum, 1)
  await one.tidelog.verdict(action)
  await reachesState(two, state => state.sum === 1, 'the action of the other')
  await send(two, add(2))
  await reachesState(one, state => state.sum === 3, 'the action of the other')
  const log = await storedLog(tidelog, { user })
  assert.deepEqual(log.map(i => i.action.n), [1, 2])
})

inBothKinds('what the server undoes is taken back, and told', async (scene, kind) => {
  const store = await openStore(scene, tidelog, { kind, user: scene.user() })
  const undone = new Promise(resolve => store.tidelog.on('undone', (action, reason) => resolve([action.type, reason])))
  await send(store, add(1))
  const action = { n: 100, type: 'secret/add' }
  store.dispatch(action)
  store.dispatch(add(2))
  assert.equal(store.getState().sum, 103)
  await assert.rejects(store.tidelog.verdict(action), { reason: 'denied' })
  await reachesState(store, state => state.sum === 3, 'the state without it')
  assert.deepEqual(await undone, ['secret/add', 'denied'])
  assert.deepEqual(store.getState().failed, ['denied'])
})

inBothKinds('actions that do not sync stay, whatever comes', async (scene, kind) => {
  const user = scene.user()
  const [one, two] = [await openStore(scene, tidelog, { kind, user }), await openStore(scene, tidelog, { kind, user })]
  one.dispatch({ type: 'ui/set', value: 'open' })
  await send(two, add(1))
  await reachesState(one, state => state.sum === 1, 'the action of the other')
  assert.equal(one.getState().ui, 'open')
  assert.equal(two.getState().ui, 'closed')
  await assert.rejects(one.tidelog.verdict({ type: 'ui/set' }), /does not sync/)
})

test('what is undone is taken back from under what the page did since', async t => {
  const store = await openStore(new Scene(t), tidelog, { user: 'since' })
  store.tidelog.offline(true)
  store.dispatch({ n: 100, type: 'secret/add' })
  store.dispatch({ type: 'ui/set', value: 'open' })
  store.dispatch(add(1))
  store.tidelog.offline(false)
  await reachesState(store, state => state.failed.length === 1, 'the verdict')
  await settled(store)
  assert.deepEqual(store.getState(), { failed: ['denied'], list: [1], sum: 1, ui: 'open' })
})

test('stores that do at once what does not commute end in one state', async t => {
  const scene = new Scene(t)
  const user = scene.user()
  const stores = []
  for (let i = 0; i < 3; i++) stores.push(await openStore(scene, tidelog, { user }))
  for (let n = 1; n <= 10; n++) for (const store of stores) store.dispatch(n % 4 ? add(n) : double())
  for (const store of stores) {
    await settled(store)
    await store.tidelog.pull()
  }
  const [one, ...others] = stores.map(store => store.getState())
  assert.equal(one.list.length, 24)
  for (const other of others) assert.deepEqual(other, one)
  const log = await storedLog(tidelog, { user })
  assert.deepEqual(log.filter(i => i.action.type === 'app/add').map(i => i.action.n), one.list)
})

test('what was done offline waits through a reload, and goes out once', async t => {
  const scene = new Scene(t)
  const user = scene.user()
  const device = { indexedDB: browser(), name: 'page', user }
  const first = await openStore(scene, tidelog, device)
  await send(first, add(1))
  first.tidelog.offline(true)
  first.dispatch(add(2))
  first.dispatch(add(3))
  assert.equal(first.tidelog.status.pending, 2)
  await first.close()

  const proxy = await scene.proxy(tidelog)
  proxy.goOffline()
  const second = await openStore(scene, proxy, device)
  assert.deepEqual(second.getState().list, [1, 2, 3])
  assert.equal(second.tidelog.status.pending, 2)
  proxy.goOnline()
  await settled(second)
  await second.close()
  const log = await storedLog(tidelog, { user })
  assert.deepEqual(log.map(i => i.action.n), [1, 2, 3])

  const third = await openStore(scene, tidelog, device)
  assert.deepEqual(third.getState().list, [1, 2, 3])
})

test('a device that reaches its server for the first time has what it did once', async t => {
  const scene = new Scene(t)
  const user = scene.user()
  const desk = await openStore(scene, tidelog, { user })
  await send(desk, add(1))
  const proxy = await scene.proxy(tidelog)
  proxy.goOffline()
  const device = { follow: false, indexedDB: browser(), name: 'first', user }
  const offline = await openStore(scene, proxy, device)
  offline.dispatch(double())
  offline.dispatch(add(2))
  await offline.close()
  // The first answer is lost: then they are in the log already, and a device without a cursor is shown its own actions.
  const lost = new Promise(resolve => {
    proxy.losesAnswers = request => request.method === 'POST' && resolve(true) === undefined
  })
  proxy.goOnline()
  const store = await openStore(scene, proxy, device)
  await within(lost, 'a push')
  proxy.losesAnswers = undefined
  await settled(store)
  await reachesState(store, state => state.sum === 4, 'a sum of 4')
  await reachesState(desk, state => state.sum === 4, 'a sum of 4')
  assert.deepEqual(store.getState().list, [1, 2])
})

test('an answer that is lost does not double what it answers', async t => {
  const scene = new Scene(t)
  const user = scene.user()
  const proxy = await scene.proxy(tidelog)
  const store = await openStore(scene, proxy, { user })
  const desk = await openStore(scene, tidelog, { user })
  await send(store, add(1))
  const lost = new Promise(resolve => {
    proxy.losesAnswers = request => request.method === 'POST' && resolve(true) === undefined
  })
  store.dispatch(add(2))
  await within(lost, 'a push')
  proxy.losesAnswers = undefined
  await store.tidelog.pull()
  await settled(store)
  await send(desk, add(4))
  await reachesState(store, state => state.sum === 7, 'a sum of 7')
  await reachesState(desk, state => state.sum === 7, 'a sum of 7')
})

test('two tabs of one browser are one device', async t => {
  const scene = new Scene(t)
  const user = scene.user()
  const device = { indexedDB: browser(), name: `tabs ${user}`, user }
  const [one, two] = [await openStore(scene, tidelog, device), await openStore(scene, tidelog, device)]
  const desk = await openStore(scene, tidelog, { user })
  await send(one, add(1))
  await reachesState(two, state => state.sum === 1, 'the action of the other tab')
  await send(two, add(2))
  await send(desk, add(4))
  for (const store of [one, two, desk]) await reachesState(store, state => state.sum === 7, 'a sum of 7')
  await one.close()
  await send(desk, add(8))
  await reachesState(two, state => state.sum === 15, 'the tab that is left follows')
  assert.deepEqual((await storedLog(tidelog, { user })).map(i => i.action.n).sort(), [1, 2, 4, 8])
})

test('a channel is read from when it is named, and one that is denied is told', async t => {
  const scene = new Scene(t)
  const author = await openStore(scene, tidelog, { user: scene.user() })
  await send(author, { id: 'redux', n: 1, type: 'posts/say' })
  const reader = await openStore(scene, tidelog, { channels: ['posts/hidden'], user: scene.user() })
  await reader.tidelog.pull()
  assert.equal(reader.tidelog.error.kind, 'channel-denied')
  await reader.tidelog.channels(['posts/redux'])
  await reachesState(reader, state => state.list.length === 1, 'what the channel had')
  await send(author, { id: 'redux', n: 2, type: 'posts/say' })
  await reachesState(reader, state => state.list.length === 2, 'what came later')
})

test('a state that was saved is there at once, and goes on; one of another version is pulled anew', async t => {
  const scene = new Scene(t)
  const user = scene.user()
  const device = {
    follow: false,
    indexedDB: browser(),
    load: ({ list, sum }, state) => ({ ...state, list, sum }),
    name: 'saved',
    save: ({ list, sum }) => ({ list, sum }),
    user,
    version: 1
  }
  const desk = await openStore(scene, tidelog, { user })
  const numbers = Array.from({ length: 250 }, (_, n) => n)
  for (const n of numbers) desk.dispatch(add(n))
  await settled(desk)
  const first = await openStore(scene, tidelog, device)
  await first.tidelog.pull()
  first.dispatch({ type: 'ui/set', value: 'open' })
  await first.close()

  const proxy = await scene.proxy(tidelog)
  proxy.goOffline()
  const second = await openStore(scene, proxy, device)
  assert.deepEqual(second.getState(), { failed: [], list: numbers, sum: 31_125, ui: 'closed' })
  await second.close()

  const load = () => assert.fail('a state of another version is of no use')
  const third = await openStore(scene, tidelog, { ...device, load, version: 2 })
  await third.tidelog.pull()
  assert.deepEqual(third.getState().list, numbers)
})

test('another server in the same place: the state is what that one has, and what waits goes there', async t => {
  const scene = new Scene(t)
  const user = scene.user()
  const proxy = await scene.proxy(tidelog)
  const store = await openStore(scene, proxy, { user })
  await send(store, add(1))
  store.tidelog.offline(true)
  store.dispatch(add(2))
  const other = await scene.server()
  const there = await openStore(scene, other, { user })
  await send(there, add(10))
  proxy.target = other
  proxy.cut()
  store.tidelog.offline(false)
  await reachesState(store, state => state.sum === 12, 'what the other server has')
  await reachesState(there, state => state.sum === 12, 'what waited')
})

test('an action that is too large is undone, and those around it are not', async t => {
  const scene = new Scene(t)
  const store = await openStore(scene, tidelog, { user: scene.user() })
  store.tidelog.offline(true)
  const large = { n: 100, text: 'x'.repeat(1 << 18), type: 'app/add' }
  const unknown = { type: 'unheard/of' }
  for (const action of [add(1), large, unknown, add(2)]) store.dispatch(action)
  store.tidelog.offline(false)
  await assert.rejects(store.tidelog.verdict(large), { reason: 'tooLarge' })
  await assert.rejects(store.tidelog.verdict(unknown), { reason: 'unknownType' })
  await settled(store)
  await reachesState(store, state => state.sum === 3, 'a sum of 3')
})

test('a token that does not count is told once it is tried, and what waits stays', async t => {
  const scene = new Scene(t)
  const user = scene.user()
  const store = await openStore(scene, tidelog, { token: 'somebody', user })
  store.dispatch(add(1))
  await store.tidelog.pull()
  assert.equal(store.tidelog.error.kind, 'not-signed-in')
  assert.equal(store.tidelog.status.pending, 1)
  assert.equal(store.getState().sum, 1)
})
