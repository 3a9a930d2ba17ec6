// A page that asks who had seen what merges as the server does, where a guess would be wrong.

import assert from 'node:assert/strict'
import test from 'node:test'

import { Document, set } from '../src/crdt/index.js'
import { Api } from '../src/http.js'
import { httpOf, Scene, send, sharedServer, within } from './harness/scene.js'
import { openStore, send as dispatch, settled } from './harness/stores.js'

const tidelog = await sharedServer()
const cart = async user => (await new Api({ token: user, url: httpOf(tidelog) }).document('cart')).value
const hears = (page, count) =>
  page.heard.until(items => items.filter(({ action }) => action.doc === 'cart').length >= count, `${count} of the cart`)
/** What a page has heard adds up to. */
const shown = page => {
  let document = new Document('cart', { client: page.clientId })
  for (let { action, meta } of page.heard.items) document = document.apply(action, meta)
  return document.value
}

/** Milk is put in, and while one page is away, taken out there and put in again here. */
async function beside(scene, over) {
  const userId = scene.user()
  const proxy = await scene.proxy(tidelog)
  const [away, here, reader] = [
    await scene.page(proxy, { over, userId }),
    await scene.page(tidelog, { over, userId }),
    await scene.page(tidelog, { over, userId })
  ]
  await send(here, set.add('cart', [], 'milk'))
  await hears(away, 1)
  proxy.goOffline()
  away.node.connection.disconnect('error')
  await send(here, set.add('cart', [], 'milk'))
  await hears(reader, 2)
  // Later by any clock, however each page mends its own, and without a word of the second.
  const removed = away.sync(set.remove('cart', [], 'milk'), { time: Date.now() + 5000 })
  proxy.goOnline()
  await within(removed, 'the verdict')
  for (const page of [away, here, reader]) await hears(page, 3)
  assert.deepEqual(await cart(userId), ['milk'])
  return { away, here, reader }
}

test('a page that asks for causality keeps what an author had not seen, as the server does', async t => {
  const { away, here, reader } = await beside(new Scene(t), { causality: true })
  assert.deepEqual([away, here, reader].map(shown), [['milk'], ['milk'], ['milk']])
  // What was answered has its name, and says what its author had seen.
  const answers = away.heard.items.filter(({ action }) => action.type === 'logux/processed')
  assert.equal(answers.length, 1)
  assert.ok(answers.every(({ meta }) => /^[0-9a-f]{16}:\d+$/.test(meta.dots[0]) && meta.context))
})

test('a page that does not ask guesses, and says nothing of it', async t => {
  const { here, reader } = await beside(new Scene(t), {})
  assert.deepEqual([here, reader].map(shown), [null, null])
  assert.ok(reader.heard.items.every(({ meta }) => meta.dots === undefined && meta.context === undefined))
})

test('the news of a store that asks say who had seen what, also of its own actions', async t => {
  const scene = new Scene(t)
  const user = scene.user()
  const options = { causality: true, follow: false, sync: ['crdt/*'], user }
  const [one, two] = [await openStore(scene, tidelog, options), await openStore(scene, tidelog, options)]
  const applied = []
  one.tidelog.on('applied', (action, news) => applied.push(news))
  await dispatch(two, set.add('cart', [], 'pears'))
  await one.tidelog.pull()
  assert.match(applied[0].dots[0], /^[0-9a-f]{16}:\d+$/)
  assert.ok(applied[0].context)
  await dispatch(one, set.remove('cart', [], 'pears'))
  await settled(one)
  assert.equal(await cart(user), null)
})
