// What an author had seen goes with what it does: a removal takes away what was seen, and nothing else.

import assert from 'node:assert/strict'
import test from 'node:test'

import { Api } from '../src/http.js'
import { httpOf, Scene, send, sharedServer, within } from './harness/scene.js'
import { openStore, send as dispatch, settled } from './harness/stores.js'

const tidelog = await sharedServer()
const put = value => ({ doc: 'cart', type: 'crdt/set/add', value })
const take = value => ({ doc: 'cart', type: 'crdt/set/remove', value })
const cart = async user => (await new Api({ token: user, url: httpOf(tidelog) }).document('cart')).value

test('a client that has heard of an addition takes it away, and one that has not leaves it', async t => {
  const scene = new Scene(t)
  const userId = scene.user()
  const proxy = await scene.proxy(tidelog)
  const [one, two] = [await scene.page(proxy, { userId }), await scene.page(tidelog, { userId })]
  await send(two, put('pears'))
  await one.heard.until(items => items.some(i => i.action.type === 'crdt/set/add'), 'the pears')
  await send(one, take('pears'))
  assert.equal(await cart(userId), null)

  await send(two, put('milk'))
  await one.heard.until(items => items.some(i => i.action.value === 'milk'), 'the milk')
  proxy.goOffline()
  one.node.connection.disconnect('error')
  const removed = one.sync(take('milk'))
  await send(two, put('milk'))
  proxy.goOnline()
  await within(removed, 'the verdict')
  assert.deepEqual(await cart(userId), ['milk'])
})

test('a store that has an addition takes it away, and one that has not leaves it', async t => {
  const scene = new Scene(t)
  const user = scene.user()
  const options = { follow: false, sync: ['crdt/*', 'app/*'], user }
  const [one, two] = [await openStore(scene, tidelog, options), await openStore(scene, tidelog, options)]
  await dispatch(two, put('pears'))
  await one.tidelog.pull()
  await dispatch(one, take('pears'))
  assert.equal(await cart(user), null)

  await dispatch(two, put('milk'))
  await one.tidelog.pull()
  one.tidelog.offline(true)
  // More than goes in one request: when the last is pushed, the answer to the first has brought what came meanwhile.
  for (let n = 0; n < 500; n++) one.dispatch({ n, type: 'app/add' })
  one.dispatch(take('milk'))
  await dispatch(two, put('milk'))
  one.tidelog.offline(false)
  await settled(one)
  assert.deepEqual(await cart(user), ['milk'])
})
