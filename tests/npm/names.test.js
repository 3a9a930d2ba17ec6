// One action, one id: devices of one user that speak differently, and pages that speak differently from one day to the next.

import assert from 'node:assert/strict'
import test from 'node:test'

import { BARE } from './harness/bare.js'
import { nameOf, renamed, threeParts } from './harness/names.js'
import { send, undone } from './harness/pages.js'
import { RULES } from './harness/rules.js'
import { inEachVersion, Scene, sharedServer } from './harness/scene.js'
import { storedLog } from './harness/server.js'
import { SPOKEN } from './harness/spoken.js'

const tidelog = await sharedServer({ config: RULES })

const ALL = [...new Set([...SPOKEN, ...BARE])]
const SEVENS = ALL.filter(i => i.startsWith('7'))

test('devices of one user that all speak differently hear each other under the same ids', async t => {
  const scene = new Scene(t)
  const userId = scene.user()
  const pages = []
  for (const speaks of ALL) pages.push(await scene.page(tidelog, { userId, speaks }))
  for (const [n, page] of pages.entries()) {
    await Promise.all([0, 1, 2].map(k => send(page, { type: 'app/add', n, k })))
  }
  const ids = async page => {
    const heard = await page.heard.times('app/add', 3 * ALL.length)
    return new Map(heard.map(({ action, meta }) => [`${action.n} ${action.k}`, threeParts(meta.id)]))
  }
  const [first, ...others] = await Promise.all(pages.map(ids))
  for (const other of others) assert.deepEqual(other, first)
  // Pages that come later are told the same.
  for (const speaks of ALL) {
    const late = await scene.page(tidelog, { userId, speaks })
    assert.deepEqual(await ids(late), first)
  }
  const stored = await storedLog(tidelog, { user: userId })
  assert.deepEqual(new Set(stored.map(i => i.meta?.id ?? i.id)), new Set(first.values()))
})

for (const sequence of [1, 1023, 1024, 2047, 2048, 1_000_000, 2 ** 53 - 1]) {
  test(`an action with the sequence ${sequence} has a name in 7 that comes back as its id`, async t => {
    const scene = new Scene(t)
    const userId = scene.user()
    const author = await scene.page(tidelog, { userId, keep: true })
    const id = `${Date.now()} ${author.nodeId} ${sequence}`
    await send(author, { type: 'app/add' }, { id })
    const names = []
    for (const speaks of SEVENS) {
      const page = await scene.page(tidelog, { userId, speaks })
      const [{ meta }] = await page.heard.times('app/add')
      assert.equal(threeParts(meta.id), id)
      assert.equal(meta.id.split(' ').length, 2)
      names.push(meta.id)
    }
    assert.equal(names[0], names[1])
    const cleaner = await scene.page(tidelog, { userId, speaks: SEVENS[sequence % 2] })
    await send(cleaner, { type: '0/clean', id: names[0] })
    const stored = await storedLog(tidelog, { user: userId })
    assert.deepEqual(stored.filter(i => i.action.type === 'app/add'), [])
  })
}

test('times between a clock that is wrong in one version and one that is right in another are true for both', async t => {
  const scene = new Scene(t)
  const hour = 3_600_000
  for (const wrong of SPOKEN) {
    const userId = scene.user()
    const off = await scene.page(tidelog, { userId, speaks: wrong, clock: () => Date.now() + hour })
    const readers = []
    for (const speaks of SPOKEN) readers.push(await scene.page(tidelog, { userId, speaks }))
    const sent = Date.now()
    await send(off, { type: 'app/add' })
    for (const reader of readers) {
      const [{ meta }] = await reader.heard.times('app/add')
      assert.ok(Math.abs(meta.time - sent) < 60_000, `${wrong} to ${reader.kind.protocol}: ${meta.time - sent} ms`)
      assert.equal(threeParts(meta.id), threeParts(off.heard.list('app/add')[0].meta.id))
    }
  }
})

inEachVersion('an undo is younger than what it undoes, as each version orders actions', async scene => {
  const page = await scene.page(tidelog, { userId: scene.user(), clock: () => Date.now() + 3_600_000 })
  const undo = await undone(page, { type: 'secret/add' })
  const [{ meta }] = page.heard.list('secret/add')
  const [{ meta: later }] = page.heard.list('logux/undo')
  assert.equal(undo.id, meta.id)
  assert.ok(page.kind.isFirstOlder(meta, later), `${JSON.stringify(meta)} ${JSON.stringify(later)}`)
})

inEachVersion('an undone action comes back as it was said, ids in it too', async scene => {
  const page = await scene.page(tidelog, { userId: scene.user() })
  for (const action of [
    { type: '0/clean', id: nameOf(page.kind.protocol, 1_700_000_000_000, 'somebody:else:t', 3) },
    { type: 'secret/add', id: '1 somebody:else:t 0', text: 'ü' }
  ]) {
    const undo = await undone(page, action)
    assert.equal(undo.reason, 'denied')
    assert.deepEqual(undo.action, action)
  }
})

/** Two protocols that differ, in both orders. */
const CHANGES = [[5, 7], [7, 5], [4, 7], [7, 4], [4, 5], [5, 4]]

for (const [before, after] of CHANGES) {
  test(`what was sent in ${before} and comes again in ${after} gets the same verdicts, and is there once`, async t => {
    const scene = new Scene(t)
    const user = scene.user()
    const first = await scene.wire(tidelog, { protocol: before })
    await first.signIn(`${user}:c:t`)
    const actions = [{ type: 'app/add' }, { type: 'secret/add' }]
    await first.sync(1, ...actions.map((action, n) => [action, n + 1]))
    const again = await scene.wire(tidelog, { protocol: after })
    await again.signIn(`${user}:c:t`)
    const shift = first.base - again.base
    await again.sync(1, ...actions.map((action, n) => [action, shift + n + 1]))
    for (const offset of [1, 2]) {
      const [[was, wasMeta]] = first.verdicts(first.id(offset))
      const [[is, isMeta]] = again.verdicts(first.id(offset))
      assert.equal(is.type, was.type)
      assert.equal(is.reason, was.reason)
      assert.deepEqual(is.action, was.action)
      assert.equal(is.id, renamed(after, was.id))
      assert.equal(isMeta.id, wasMeta.id)
    }
    const stored = await storedLog(tidelog, { user })
    assert.deepEqual(stored.map(i => i.action), [{ type: 'app/add' }])
  })

  test(`a subscription that was answered in ${before} goes on from that answer in ${after}`, async t => {
    const scene = new Scene(t)
    const channel = `posts/${scene.user('since')}`
    const id = channel.split('/')[1]
    const author = await scene.page(tidelog, { userId: scene.user() })
    await send(author, { type: 'posts/say', id, n: 1 })
    const reader = scene.user()
    const first = await scene.wire(tidelog, { protocol: before })
    await first.signIn(`${reader}:one:t`)
    await first.sync(1, [{ type: 'logux/subscribe', channel }, 1])
    const [[, answer]] = first.verdicts(first.id(1))
    await send(author, { type: 'posts/say', id, n: 2 })
    // Another node: nothing but the id can say what this page has had.
    const second = await scene.wire(tidelog, { protocol: after })
    await second.signIn(`${reader}:two:t`)
    const since = { id: renamed(after, answer.id), time: answer.time }
    await second.sync(1, [{ type: 'logux/subscribe', channel, since }, 1])
    const said = second.actions().filter(([action]) => action.type === 'posts/say')
    assert.deepEqual(said.map(([action]) => action.n), [2])
  })
}

inEachVersion('what is cleaned is gone, one by one or many at once', async scene => {
  const userId = scene.user()
  const page = await scene.page(tidelog, { userId })
  for (const n of [0, 1, 2, 3]) await send(page, { type: 'app/add', n })
  const [first, ...others] = page.heard.list('app/add').map(i => i.meta.id)
  await send(page, { type: '0/clean', id: first })
  await send(page, { type: '0/clean', ids: others.slice(0, 2) })
  const stored = await storedLog(tidelog, { user: userId })
  assert.deepEqual(stored.map(i => i.action.n), [3])
})

test('a list of items looks the same to all who follow it', async t => {
  const scene = new Scene(t)
  const author = await scene.page(tidelog, { userId: scene.user() })
  await send(author, { type: 'tasks/create', id: scene.user('t'), fields: { list: 'seven', text: 'early' } })
  const pages = []
  for (const speaks of ALL) {
    const page = await scene.page(tidelog, { userId: scene.user(), speaks })
    await send(page, { type: 'logux/subscribe', channel: 'tasks', filter: { list: 'seven' } })
    pages.push(page)
  }
  await send(author, { type: 'tasks/create', id: scene.user('t'), fields: { list: 'seven', text: 'late' } })
  const mine = ({ action }) => /^tasks\//.test(action.type) && action.fields?.list === 'seven'
  const seen = async page => {
    const heard = await page.heard.times(mine, 2)
    return heard.map(({ action, meta }) => [action.type, action.fields.text, threeParts(meta.id), meta.id.split(' ')[1]])
  }
  const [first, ...others] = await Promise.all(pages.map(seen))
  assert.deepEqual(first.map(i => i[1]), ['early', 'late'])
  for (const other of others) assert.deepEqual(other.map(i => i.slice(0, 3)), first.map(i => i.slice(0, 3)))
  // Clients that break a tie by the node see the author's first.
  for (const name of others[ALL.indexOf('7 binary') - 1]) assert.ok(name[3].startsWith(`${author.nodeId}\u001f`), name[3])
})
