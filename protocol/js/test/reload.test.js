// What lives longer than a page: its client id, its log, and its cursor; and the tabs of one browser.

import 'fake-indexeddb/auto'

import { CrossTabClient, IndexedStore } from '@logux/client'
import assert from 'node:assert/strict'
import test from 'node:test'

import { Cursors } from '../src/connection/cursors.js'
import { Browser } from '../../../tests/npm/harness/globals.js'
import { hears, ns, reaches, Scene, send, sharedServer, Shelf, within } from './harness/scene.js'

const tidelog = await sharedServer()
const add = n => ({ n, type: 'app/add' })

/** What a shelf was given, and when it was. */
class Watched extends Shelf {
  kept() {
    return new Promise(resolve => (this.heard = resolve))
  }

  setItem(key, value) {
    super.setItem(key, value)
    this.heard?.()
  }
}

test('a page that is loaded again goes on where it was', async t => {
  new Browser(t)
  const scene = new Scene(t)
  const userId = scene.user()
  const storage = new Watched()
  // What has no reason is not in the page's log, so that it would be heard again if it came again.
  const options = { Class: CrossTabClient, keep: false, over: { storage }, userId }
  const open = () => scene.page(tidelog, { ...options, store: new IndexedStore(userId) })
  const desk = await scene.page(tidelog, { userId })
  const first = await open()
  const kept = within(storage.kept(), 'the cursor was not kept')
  await send(desk, add(1))
  await hears(first, 1)
  await kept
  first.destroy()
  await send(desk, add(2))
  const second = await open()
  assert.equal(second.clientId, first.clientId)
  await hears(second, 1)
  await send(second, { type: 'app/settled' })
  assert.deepEqual(ns(second), [2])
})

test('a page that is loaded again goes on where it was, whether by socket or HTTP', async t => {
  new Browser(t)
  const scene = new Scene(t)
  const userId = scene.user()
  const desk = await scene.page(tidelog, { userId })
  const options = { Class: CrossTabClient, keep: false, userId }
  let n = 0
  for (const socket of ['only', 'never', 'never', 'only', 'never']) {
    const page = await scene.page(tidelog, { ...options, over: { socket }, store: new IndexedStore(userId) })
    if (n > 0) assert.deepEqual(await hears(page, 1), [n])
    await send(page, { type: 'app/settled' })
    assert.deepEqual(ns(page), n > 0 ? [n] : [])
    // The store loses one of two numbers that it is given at once.
    await keeps(page, 'sent', page.node.lastSent)
    await send(desk, add((n += 1)))
    await hears(page, n > 1 ? 2 : 1)
    await keeps(page, 'received', page.node.lastReceived)
    page.destroy()
    await send(desk, add((n += 1)))
  }
})

/** Resolves when the store of a page has written a number. */
async function keeps(page, which, number) {
  const deadline = Date.now() + 10_000
  for (;;) {
    const kept = (await page.log.store.getLastSynced())[which]
    if (kept === number) return
    assert.ok(Date.now() < deadline, `the store has ${which} ${kept}, not ${number}`)
  }
}

test('a page whose log was lost gets everything, whatever cursor is left', async t => {
  new Browser(t)
  const scene = new Scene(t)
  const userId = scene.user()
  const storage = new Watched()
  const open = store => scene.page(tidelog, { Class: CrossTabClient, over: { storage }, store, userId })
  const desk = await scene.page(tidelog, { userId })
  const first = await open(new IndexedStore(`${userId} a`))
  const kept = within(storage.kept(), 'the cursor was not kept')
  await send(desk, add(1))
  await hears(first, 1)
  await kept
  first.destroy()
  const second = await open(new IndexedStore(`${userId} b`))
  assert.deepEqual(await hears(second, 1), [1])
})

test('a cursor counts for a store that has what it says, and for no other', async () => {
  const storage = new Watched()
  const cursors = new Cursors('https://sync.example.com', storage)
  const kept = within(storage.kept(), 'the cursor was not kept')
  cursors.keep('10:a', 8192, 'c1')
  await kept
  assert.equal(await cursors.find('10:b', 9000), undefined)
  assert.equal(await cursors.find('10:a', 8192), 'c1')
  assert.equal(await cursors.find('10:a', 9000), 'c1')
  assert.equal(await cursors.find('10:a', 4096), undefined)
  assert.equal(storage.size, 0, 'a store that lost something has no use for it later')
})

test('tabs of one browser share a connection, and the next takes over', async t => {
  new Browser(t)
  const scene = new Scene(t)
  const userId = scene.user()
  const proxy = await scene.proxy(tidelog)
  const desk = await scene.page(tidelog, { userId })
  const tab = () => scene.idlePage(proxy, { Class: CrossTabClient, userId })
  const [first, second] = [tab(), tab()]
  const heard = []
  second.on('add', action => heard.push(action.n))
  first.start()
  await reaches(first, 'synchronized')
  second.start()
  assert.equal(second.role, 'follower')
  await send(second, add(1))
  await send(desk, add(2))
  await hears(first, 1)
  assert.ok(heard.includes(2))
  first.destroy()
  await reaches(second, 'synchronized')
  await send(second, add(3))
  assert.deepEqual((await hears(desk, 3)).sort(), [1, 2, 3])
})
