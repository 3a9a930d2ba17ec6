// SyncMap: items that pages create, change and delete, and lists and stores of other pages that follow.

import assert from 'node:assert/strict'

import { change, create, has, Maps, remove, shown, shows } from './harness/maps.js'
import { idAt, oneClock, reaches, send } from './harness/pages.js'
import { DOWN, tells } from './harness/proxy.js'
import { inEachClient, sharedServer } from './harness/scene.js'

const HOUR = 3_600_000
// Each test has a map of its own, so that no list sees the items of another test.
const NAMES = Array.from({ length: 80 }, (_, i) => `tasks${i}`)
const ALLOW = "!(has(action.fields) && has(action.fields.text) && action.fields.text == 'bad') && action.id != 'stays'"
const tidelog = await sharedServer({
  config: NAMES.map(name => `[[sync_map]]\nname = "${name}"\nallow = "${ALLOW}"\n`).join('\n') + '[[action]]\ntype = "app/*"\n'
})
const names = NAMES.values()

/** A name and two pages of two users with their maps. */
async function pair(scene, { at = [tidelog, tidelog], options } = {}) {
  const name = names.next().value
  const open = async where => {
    return new Maps(scene, await scene.page(where, { userId: scene.user(), clock: oneClock }), name, options)
  }
  return { name, ann: await open(at[0]), bob: await open(at[1]) }
}

async function away(proxy, page, meanwhile) {
  const left = reaches(page, 'disconnected')
  proxy.goOffline()
  await left
  await meanwhile()
  proxy.goOnline()
  await reaches(page, 'synchronized')
}

inEachClient('a list follows what another page creates, changes and deletes', async scene => {
  const { ann, bob } = await pair(scene)
  const list = bob.list()
  await shows(list, [])
  await create(ann, 't1', { text: 'one', done: false })
  await shows(list, [{ id: 't1', text: 'one', done: false }])
  await change(ann, 't1', { text: 'two' })
  await shows(list, [{ id: 't1', text: 'two', done: false }])
  await create(ann, 't2', { text: 'x', done: true })
  await shows(list, [{ id: 't1', text: 'two', done: false }, { id: 't2', text: 'x', done: true }])
  await remove(ann, 't1')
  await shows(list, [{ id: 't2', text: 'x', done: true }])
})

inEachClient('items enter and leave a list with a filter, and reach the page that made them too', async scene => {
  const { ann, bob } = await pair(scene)
  const theirs = bob.list({ done: false })
  const own = ann.list({ done: false })
  await create(ann, 't1', { text: 'one', done: false })
  await create(ann, 't2', { text: 'two', done: true })
  for (const list of [theirs, own]) await shows(list, [{ id: 't1', text: 'one', done: false }])
  await change(ann, 't1', { done: true })
  for (const list of [theirs, own]) await shows(list, [])
  await change(bob, 't2', { done: false })
  for (const list of [theirs, own]) await shows(list, [{ id: 't2', text: 'two', done: false }])
  await change(bob, 't2', { text: 'changed' })
  for (const list of [theirs, own]) await shows(list, [{ id: 't2', text: 'changed', done: false }])
})

inEachClient('a list that is opened later has the winners of each field, and no item that is gone', async scene => {
  const { ann, bob } = await pair(scene)
  await create(ann, 't1', { text: 'one', done: false, size: 1 })
  await create(ann, 't2', { text: 'gone', done: false })
  await change(bob, 't1', { text: 'two' })
  await change(ann, 't1', { done: true })
  await remove(bob, 't2')
  await shows(bob.list(), [{ id: 't1', text: 'two', done: true, size: 1 }])
  await shows(ann.list({ done: true }), [{ id: 't1', text: 'two', done: true, size: 1 }])
  await shows(ann.list({ done: false }), [])
  await has(bob.item('t1'), { id: 't1', text: 'two', done: true, size: 1 })
})

inEachClient('a store of one item follows it without a list', async scene => {
  const { ann, bob } = await pair(scene)
  await create(ann, 't1', { text: 'one' })
  await create(ann, 't2', { text: 'other' })
  const item = bob.item('t1')
  await has(item, { id: 't1', text: 'one' })
  await change(ann, 't2', { text: 'not this' })
  await change(ann, 't1', { text: 'two' })
  await has(item, { id: 't1', text: 'two' })
  assert.equal(bob.page.heard.count(i => i.action.id === 't2'), 0)
})

inEachClient('on the wire: the time of the author, the past tense, and nothing but processed for the author', async scene => {
  const proxy = await scene.proxy(tidelog)
  const { name, ann, bob } = await pair(scene, { at: [proxy, tidelog] })
  await shows(bob.list(), [])
  await create(ann, 't1', { text: 'one' })
  await change(ann, 't1', { text: 'two' })
  await remove(ann, 't1')
  const past = await Promise.all(['created', 'changed', 'deleted'].map(verb => bob.page.heard.times(`${name}/${verb}`)))
  const present = ['create', 'change', 'delete'].map(verb => ann.page.heard.list(`${name}/${verb}`)[0])
  for (const [i, [heard]] of past.entries()) {
    const { type, ...body } = heard.action
    const { type: was, ...sent } = present[i].action
    assert.deepEqual(body, sent)
    assert.ok(Math.abs(heard.meta.time - present[i].meta.time) < 50)
    assert.notEqual(heard.meta.id, present[i].meta.id)
  }
  const got = proxy.list({ dir: DOWN, name: 'sync' }).flatMap(i => i.slice(2).filter(part => part.type))
  assert.deepEqual(new Set(got.map(i => i.type)), new Set(['logux/processed']))
})

inEachClient('what the server undoes is taken back: a create, a change, a delete', async scene => {
  const { ann, bob } = await pair(scene)
  const list = ann.list()
  await shows(list, [])
  await create(ann, 't1', { text: 'good', done: false })
  await assert.rejects(create(ann, 't2', { text: 'bad' }), /denied/)
  await shows(list, [{ id: 't1', text: 'good', done: false }])
  await assert.rejects(change(ann, 't1', { text: 'bad' }), /denied/)
  await shows(list, [{ id: 't1', text: 'good', done: false }])
  await assert.rejects(create(ann, 'stays', { text: 'x' }), /denied/)
  await shows(bob.list(), [{ id: 't1', text: 'good', done: false }])
})

inEachClient('two pages that change different fields at once keep both', async scene => {
  const { ann, bob } = await pair(scene)
  await create(ann, 't1', { text: 'one', done: false })
  const lists = [ann.list(), bob.list()]
  for (const list of lists) await shows(list, [{ id: 't1', text: 'one', done: false }])
  await Promise.all([change(ann, 't1', { text: 'two' }), change(bob, 't1', { done: true })])
  for (const list of lists) await shows(list, [{ id: 't1', text: 'two', done: true }])
})

inEachClient('changes at the very same time have one winner everywhere', async scene => {
  const { name, ann, bob } = await pair(scene)
  await create(ann, 't1', { text: 'start' })
  const items = [ann.item('t1'), bob.item('t1')]
  for (const item of items) await has(item, { id: 't1', text: 'start' })
  for (let round = 0; round < 10; round++) {
    const time = oneClock() + 1000
    const at = ({ page }, text) => {
      const action = { type: `${name}/change`, id: 't1', fields: { text } }
      return send(page, action, { id: idAt(page, time), time })
    }
    await Promise.all([at(ann, `ann ${round}`), at(bob, `bob ${round}`)])
    await ann.page.heard.times(i => i.action.type === `${name}/changed` && i.action.fields.text === `bob ${round}`)
    await bob.page.heard.times(i => i.action.type === `${name}/changed` && i.action.fields.text === `ann ${round}`)
    const winner = items[0].get().text
    assert.equal(items[1].get().text, winner)
    const fresh = new Maps(scene, await scene.page(tidelog, { userId: scene.user() }), name)
    await has(fresh.item('t1'), { id: 't1', text: winner })
  }
})

/** Five items with which everything happens that can happen while a page is away, and what an open list shows then. */
const FIVE = ['stay', 'edit', 'leave', 'gone'].map(id => ({ id, text: id, done: false }))
const ENTERS = { id: 'enter', text: 'enter', done: true }

async function createFive(maps) {
  for (const { id, ...fields } of [...FIVE, ENTERS]) await create(maps, id, fields)
}

async function everythingHappens(maps) {
  await change(maps, 'edit', { text: 'edited' })
  await change(maps, 'leave', { done: true })
  await change(maps, 'enter', { done: false })
  await remove(maps, 'gone')
  await create(maps, 'new', { text: 'new', done: false })
}

const OPEN = [
  { id: 'stay', text: 'stay', done: false },
  { id: 'edit', text: 'edited', done: false },
  { id: 'enter', text: 'enter', done: false },
  { id: 'new', text: 'new', done: false }
]
const DONE = { id: 'leave', text: 'leave', done: true }

inEachClient('a page that was away hears of what came, changed, moved and went', async scene => {
  const proxy = await scene.proxy(tidelog)
  const { ann, bob } = await pair(scene, { at: [tidelog, proxy] })
  await createFive(ann)
  const open = bob.list({ done: false })
  const all = bob.list()
  await shows(open, FIVE)
  await shows(all, [...FIVE, ENTERS])
  await away(proxy, bob.page, () => everythingHappens(ann))
  await shows(open, OPEN)
  await shows(all, [...OPEN, DONE])
  await change(ann, 'stay', { text: 'live again' })
  await shows(open, [{ id: 'stay', text: 'live again', done: false }, ...OPEN.slice(1)])
})

inEachClient('a list whose load was cut, and the list beside it, hear of all that too', async scene => {
  const proxy = await scene.proxy(tidelog)
  const { ann, bob } = await pair(scene, { at: [tidelog, proxy] })
  await createFive(ann)
  const open = bob.list({ done: false })
  await shows(open, FIVE)
  await send(bob.page, { type: 'app/barrier' })
  // The second list gets its items; the `processed` that ends its load is lost.
  proxy.rule = ({ dir, frame }) => (dir === DOWN && tells(frame, 'logux/processed') ? 'cut' : 'pass')
  const all = bob.list()
  await reaches(bob.page, 'disconnected')
  proxy.goOffline()
  proxy.rule = undefined
  await everythingHappens(ann)
  proxy.goOnline()
  await shows(all, [...OPEN, DONE])
  await shows(open, OPEN)
})

inEachClient('an item that its own page created is followed after a reconnect', async scene => {
  const proxy = await scene.proxy(tidelog)
  const { ann, bob } = await pair(scene, { at: [proxy, tidelog] })
  const list = ann.list()
  await shows(list, [])
  await create(ann, 't1', { text: 'one' })
  await shows(list, [{ id: 't1', text: 'one' }])
  await away(proxy, ann.page, () => change(bob, 't1', { text: 'while away' }))
  await shows(list, [{ id: 't1', text: 'while away' }])
})

inEachClient('an offline page works on alone, and its changes arrive when it is back', async scene => {
  const proxy = await scene.proxy(tidelog)
  const { ann, bob } = await pair(scene, { at: [proxy, tidelog] })
  const [own, theirs] = [ann.list(), bob.list()]
  await create(ann, 't1', { text: 'one', done: false })
  await shows(theirs, [{ id: 't1', text: 'one', done: false }])
  let work
  await away(proxy, ann.page, async () => {
    work = [create(ann, 't2', { text: 'offline' }), change(ann, 't1', { text: 'offline' })]
    await change(bob, 't1', { done: true })
    await shows(own, [{ id: 't1', text: 'offline', done: false }, { id: 't2', text: 'offline' }])
  })
  await Promise.all(work)
  for (const list of [own, theirs]) {
    await shows(list, [{ id: 't1', text: 'offline', done: true }, { id: 't2', text: 'offline' }])
  }
})

inEachClient('an older change that arrives later does not win', async scene => {
  const { name, ann, bob } = await pair(scene)
  await create(bob, 't1', { text: 'start', note: 'start' })
  const items = [ann.item('t1'), bob.item('t1')]
  for (const item of items) await has(item, { id: 't1', text: 'start', note: 'start' })
  const at = ({ page }, time, fields) => send(page, { type: `${name}/change`, id: 't1', fields }, { time })
  const now = oneClock()
  await at(bob, now + 2000, { text: 'newer' })
  await at(ann, now + 1000, { text: 'older', note: 'older' })
  for (const item of items) await has(item, { id: 't1', text: 'newer', note: 'older' })
})

inEachClient('clocks that are hours apart do not decide who wins', async scene => {
  const name = names.next().value
  const maps = []
  // Time goes on between changes: a clock is only mended to within a round trip, which may be long.
  let elapsed = 0
  for (const skew of [7 * HOUR, -5 * HOUR]) {
    const clock = () => Date.now() + skew + elapsed
    maps.push(new Maps(scene, await scene.page(tidelog, { userId: scene.user(), clock }), name))
  }
  const [fast, slow] = maps
  await create(fast, 't1', { text: 'start' })
  const items = maps.map(i => i.item('t1'))
  for (const item of items) await has(item, { id: 't1', text: 'start' })
  for (const [author, text] of [[fast, 'fast'], [slow, 'slow after fast'], [fast, 'fast after slow'], [slow, 'slow at last']]) {
    elapsed += 20_000
    await change(author, 't1', { text })
    for (const item of items) await has(item, { id: 't1', text })
  }
  const fresh = new Maps(scene, await scene.page(tidelog, { userId: scene.user() }), name)
  await has(fresh.item('t1'), { id: 't1', text: 'slow at last' })
})

inEachClient('an item that was deleted stays away from lists, whatever is changed in it later, until it is created anew', async scene => {
  const { name, ann, bob } = await pair(scene)
  const fresh = async () => new Maps(scene, await scene.page(tidelog, { userId: scene.user() }), name).list()
  const list = bob.list()
  await create(ann, 't1', { text: 'one', size: 1 })
  await shows(list, [{ id: 't1', text: 'one', size: 1 }])
  await remove(ann, 't1')
  await shows(list, [])
  await change(ann, 't1', { text: 'ghost' })
  await create(ann, 't2', { text: 'marker' })
  for (const any of [list, await fresh()]) await shows(any, [{ id: 't2', text: 'marker' }])
  await create(ann, 't1', { text: 'anew' })
  await shows(await fresh(), [{ id: 't1', text: 'anew' }, { id: 't2', text: 'marker' }])
})

inEachClient('a store that is left behind is unsubscribed', async scene => {
  const { name, ann, bob } = await pair(scene)
  await create(ann, 't1', { text: 'one' })
  const item = bob.Template('t1', bob.page)
  const stop = item.listen(() => {})
  await has(item, { id: 't1', text: 'one' })
  stop()
  const gone = i => i.action.type === 'logux/unsubscribe' && i.action.channel === `${name}/t1`
  const [{ meta }] = await bob.page.heard.times(gone)
  await bob.page.heard.times(i => i.action.type === 'logux/processed' && i.action.id === meta.id)
  await change(ann, 't1', { text: 'two' })
  await send(bob.page, { type: 'app/barrier' })
  assert.equal(bob.page.heard.count(i => i.action.fields?.text === 'two'), 0)
})

inEachClient('lists that are opened in the middle of traffic miss nothing', async scene => {
  const { name, ann } = await pair(scene)
  const userId = scene.user()
  const desk = await scene.page(tidelog, { userId })
  const items = []
  let going = true
  const traffic = (async () => {
    while (going) {
      const id = `t${items.length}`
      await Promise.all([create(ann, id, { text: id }), send(desk, { type: 'app/add' })])
      items.push({ id, text: id })
    }
  })()
  const lists = []
  for (let i = 0; i < 30; i++) {
    const page = await scene.page(tidelog, { userId, clock: oneClock })
    const list = new Maps(scene, page, name).list()
    await list.loading
    lists.push(list)
  }
  going = false
  await traffic
  for (const list of lists) await shows(list, items)
})

inEachClient('a long list comes complete', async scene => {
  const { ann, bob } = await pair(scene)
  const items = Array.from({ length: 300 }, (_, i) => ({ id: `t${i}`, text: `text ${i}`, done: i % 3 === 0 }))
  await Promise.all(items.map(({ id, ...fields }) => create(ann, id, fields)))
  const list = bob.list({ done: true })
  await shows(list, items.filter(i => i.done))
  assert.equal(shown(list).length, 100)
})
