// SyncMap stores of `@logux/client` over HTTP: lists and items that follow what other pages do.

import { changeSyncMapById, createFilter, createSyncMap, deleteSyncMapById, syncMapTemplate } from '@logux/client'
import assert from 'node:assert/strict'
import test from 'node:test'

import { reaches, Scene, sharedServer, within } from './harness/scene.js'

const NAMES = Array.from({ length: 10 }, (_, i) => `tasks${i}`)
const tidelog = await sharedServer({ config: NAMES.map(name => `[[sync_map]]\nname = "${name}"\n`).join('\n') })
const names = NAMES.values()
const clock = { last: 0 }

/** Who wrote last must not hang on whose clock is a millisecond ahead. */
function oneClock() {
  clock.last = Math.max(Date.now(), clock.last + 1)
  return clock.last
}

class Maps {
  constructor(scene, page, name) {
    this.scene = scene
    this.page = page
    this.Template = syncMapTemplate(name)
  }

  list(filter = {}) {
    return this.mount(createFilter(this.page, this.Template, filter))
  }

  mount(store) {
    this.scene.onEnd(store.listen(() => {}))
    store.loading?.catch(() => {})
    return store
  }

  create = (id, fields) => within(createSyncMap(this.page, this.Template, { id, ...fields }), `${id} is not created`)
  change = (id, fields) => within(changeSyncMapById(this.page, this.Template, id, fields), `${id} is not changed`)
  remove = id => within(deleteSyncMapById(this.page, this.Template, id), `${id} is not removed`)
}

async function pair(t, at = tidelog) {
  const scene = new Scene(t)
  const name = names.next().value
  const open = async where => {
    const page = scene.idlePage(where, { keep: false, userId: scene.user() })
    page.node.options.fixTime = false
    page.log.generateId = () => `${oneClock()} ${page.nodeId} 0`
    page.start()
    await reaches(page, 'synchronized')
    return new Maps(scene, page, name)
  }
  return { ann: await open(tidelog), bob: await open(at) }
}

const plain = items => items.map(({ id, text, done }) => ({ done, id, text })).sort((a, b) => (a.id < b.id ? -1 : 1))

function shows(store, wanted) {
  let stop
  const fits = ({ isLoading, list = [] }) => !isLoading && JSON.stringify(plain(list)) === JSON.stringify(plain(wanted))
  const found = new Promise(resolve => (stop = store.subscribe(value => fits(value) && resolve())))
  return within(found, () => `the list is ${JSON.stringify(store.get())}, not ${JSON.stringify(wanted)}`).finally(() => stop())
}

test('a list follows what another page creates, changes and deletes', async t => {
  const { ann, bob } = await pair(t)
  const list = bob.list()
  await shows(list, [])
  await ann.create('t1', { done: false, text: 'one' })
  await shows(list, [{ done: false, id: 't1', text: 'one' }])
  await ann.change('t1', { text: 'two' })
  await shows(list, [{ done: false, id: 't1', text: 'two' }])
  await ann.remove('t1')
  await shows(list, [])
})

test('a list with a filter has the items that fit, though a channel comes without one', async t => {
  const { ann, bob } = await pair(t)
  await ann.create('t1', { done: false, text: 'one' })
  await ann.create('t2', { done: true, text: 'two' })
  const [theirs, own] = [bob.list({ done: false }), ann.list({ done: false })]
  for (const list of [theirs, own]) await shows(list, [{ done: false, id: 't1', text: 'one' }])
  await ann.change('t1', { done: true })
  for (const list of [theirs, own]) await shows(list, [])
  await bob.change('t2', { done: false })
  for (const list of [theirs, own]) await shows(list, [{ done: false, id: 't2', text: 'two' }])
})

test('a list that was away has what it missed, and one that opens later what it adds up to', async t => {
  const scene = new Scene(t)
  const proxy = await scene.proxy(tidelog)
  const { ann, bob } = await pair(t, proxy)
  const list = bob.list()
  await ann.create('t1', { done: false, text: 'one' })
  await ann.create('t2', { done: false, text: 'two' })
  await shows(list, [{ done: false, id: 't1', text: 'one' }, { done: false, id: 't2', text: 'two' }])
  const left = reaches(bob.page, 'disconnected')
  proxy.goOffline()
  bob.page.node.connection.disconnect('error')
  await left
  const offline = bob.change('t1', { text: 'offline' })
  await ann.remove('t2')
  await ann.create('t3', { done: true, text: 'three' })
  proxy.goOnline()
  await offline
  const now = [{ done: false, id: 't1', text: 'offline' }, { done: true, id: 't3', text: 'three' }]
  await shows(list, now)
  await shows(ann.list(), now)
  assert.equal(bob.page.errors.items.length, 0)
})
