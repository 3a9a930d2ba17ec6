// Actions and their verdicts: who hears what, how often, under which id.

import assert from 'node:assert/strict'

import { subprotocolIn, threeParts } from './harness/names.js'
import { idAt, kept, send, settled, undone } from './harness/pages.js'
import { RULES } from './harness/rules.js'
import { inEachProtocol, inEachVersion, sharedServer } from './harness/scene.js'

const tidelog = await sharedServer({ config: RULES })

inEachVersion('a dispatched action is processed, and the client then keeps nothing', async scene => {
  const page = await scene.page(tidelog, { userId: scene.user() })
  const cleaned = []
  page.log.on('clean', (action, meta) => cleaned.push([action.type, meta.id]))
  const meta = await send(page, { type: 'app/add', text: 'one' })
  assert.match(meta.id, / server:/)
  const [{ action }] = page.heard.list('logux/processed')
  const [{ meta: own }] = page.heard.list('app/add')
  assert.equal(action.id, own.id)
  assert.deepEqual(await kept(page), [])
  assert.deepEqual(cleaned.filter(i => i[0] === 'app/add'), [['app/add', own.id]])
})

inEachVersion('two actions of one millisecond are processed in order under two sequence numbers', async scene => {
  const userId = scene.user()
  const page = await scene.page(tidelog, { userId })
  const other = await scene.page(tidelog, { userId })
  const time = Date.now()
  const ids = [0, 1].map(k => idAt(page, time, k))
  await Promise.all(ids.map((id, n) => send(page, { type: 'app/add', n }, { id })))
  assert.deepEqual(page.heard.list('logux/processed').map(i => i.action.id), ids)
  const heard = await other.heard.times('app/add', 2)
  assert.deepEqual(heard.map(i => [i.action.n, i.meta.id]), [[0, ids[0]], [1, ids[1]]])
})

inEachProtocol('every verdict comes before the synced of its frame', async scene => {
  const wire = await scene.wire(tidelog)
  await wire.signIn(`${scene.user()}:c:t`)
  await wire.sync(5, [{ type: 'app/a' }, 1], [{ type: 'secret/b' }, 2], [{ type: 'nobody/knows' }, 3], [{ type: 'live/c' }, 4])
  const answered = wire.actions().map(([action]) => [action.type, threeParts(action.id), action.reason])
  assert.deepEqual(answered.sort((a, b) => (a[1] < b[1] ? -1 : 1)), [
    ['logux/processed', wire.id(1), undefined],
    ['logux/undo', wire.id(2), 'denied'],
    ['logux/undo', wire.id(3), 'unknownType'],
    ['logux/processed', wire.id(4), undefined]
  ])
  const caused = wire.received.filter(i => i[0] !== 'ready')
  assert.deepEqual(caused.at(-1), ['synced', 5])
})

inEachProtocol('acknowledgements keep the order of the frames', async scene => {
  const wire = await scene.wire(tidelog)
  await wire.signIn(`${scene.user()}:c:t`)
  for (let n = 1; n <= 50; n++) {
    const type = n % 3 ? 'app/a' : 'secret/b'
    wire.send(['sync', n, { type }, wire.meta(n)])
  }
  await wire.next('synced', { fits: i => i[1] === 50 })
  const numbers = wire.received.filter(i => i[0] === 'synced').map(i => i[1])
  assert.deepEqual(numbers, Array.from({ length: 50 }, (_, i) => i + 1))
})

inEachVersion('the other client of a user hears the same action under the same id, the author no echo', async scene => {
  const userId = scene.user()
  const author = await scene.page(tidelog, { userId })
  const other = await scene.page(tidelog, { userId })
  await send(author, { type: 'app/add', text: 'one', deep: { list: [1, 2.5, null, 'ü'] } })
  await settled(author)
  const [{ action, meta }] = await other.heard.times('app/add')
  const [own] = author.heard.list('app/add')
  assert.deepEqual(action, own.action)
  assert.equal(meta.id, own.meta.id)
  await other.heard.times('app/settled')
  assert.equal(other.heard.count('app/add'), 1)
  assert.equal(author.heard.count('app/add'), 1)
})

inEachVersion('an action for another user reaches all clients of both, once', async scene => {
  const [ann, bob] = [scene.user('ann'), scene.user('bob')]
  const author = await scene.page(tidelog, { userId: ann })
  const desk = await scene.page(tidelog, { userId: ann })
  const phones = [await scene.page(tidelog, { userId: bob }), await scene.page(tidelog, { userId: bob })]
  const stranger = await scene.page(tidelog, { userId: scene.user() })
  await send(author, { type: 'note/new', to: bob })
  await send(author, { type: 'note/last', to: bob })
  for (const page of [desk, ...phones]) {
    await page.heard.times('note/last')
    assert.equal(page.heard.count('note/new'), 1)
  }
  await settled(stranger)
  assert.equal(stranger.heard.count('note/new'), 0)
})

inEachVersion('an action for oneself through a rule is not stored or heard twice', async scene => {
  const ann = scene.user('ann')
  const author = await scene.page(tidelog, { userId: ann })
  const desk = await scene.page(tidelog, { userId: ann })
  await send(author, { type: 'note/new', to: ann })
  await settled(author)
  await desk.heard.times('app/settled')
  assert.equal(desk.heard.count('note/new'), 1)
  assert.equal(author.heard.count('note/new'), 1)
})

inEachVersion('a denied action comes back whole, and nobody else hears of it', async scene => {
  const userId = scene.user()
  const page = await scene.page(tidelog, { userId })
  const other = await scene.page(tidelog, { userId })
  const action = { type: 'secret/add', text: 'x' }
  const undo = await undone(page, action)
  assert.equal(undo.reason, 'denied')
  assert.deepEqual(undo.action, action)
  assert.equal(undo.id, page.heard.list('secret/add')[0].meta.id)
  await settled(page)
  await other.heard.times('app/settled')
  assert.equal(other.heard.count('secret/add'), 0)
  assert.equal(other.heard.count('logux/undo'), 0)
})

inEachVersion('types that no rule knows and channels that no pattern knows are undone by name', async scene => {
  const page = await scene.page(tidelog, { userId: scene.user() })
  assert.equal((await undone(page, { type: 'nobody/knows' })).reason, 'unknownType')
  assert.equal((await undone(page, { type: 'logux/subscribe', channel: 'unknown' })).reason, 'wrongChannel')
  assert.equal((await undone(page, { type: 'logux/subscribe' })).reason, 'wrongChannel')
  assert.equal((await undone(page, { type: 'logux/unsubscribe' })).reason, 'wrongChannel')
  await settled(page)
})

inEachProtocol('clients cannot speak the words of the server', async scene => {
  const userId = scene.user()
  const page = await scene.page(tidelog, { userId })
  const other = await scene.page(tidelog, { userId })
  for (const action of [
    { type: 'logux/processed', id: '1 1:a:b 0' },
    { type: 'logux/undo', id: '1 1:a:b 0', reason: 'denied' },
    { type: 'logux/subscribed', channel: 'posts/1' }
  ]) {
    const wire = await scene.wire(tidelog)
    await wire.signIn(`${userId}:c:t`)
    await wire.sync(1, [action, 1])
    assert.deepEqual(wire.verdicts(wire.id(1)).map(([i]) => i.type), ['logux/undo'], action.type)
  }
  await send(page, { type: 'app/last' })
  await other.heard.times('app/last')
  assert.deepEqual(other.heard.list(i => i.action.type.startsWith('logux/')), [])
})

inEachProtocol('an undo is never older than its action, whatever the clock of the author says', async scene => {
  const wire = await scene.wire(tidelog)
  await wire.signIn(`${scene.user()}:c:t`)
  for (const [i, offset] of [1, 5_000, 3_600_000, -3_600_000].entries()) {
    await wire.sync(i + 1, [{ type: 'secret/add' }, offset])
    const [[undo, meta]] = wire.verdicts(wire.id(offset))
    assert.equal(undo.type, 'logux/undo')
    assert.ok(meta.time >= wire.base + offset, `${meta.time} < ${wire.base + offset}`)
  }
})

inEachProtocol('ids of somebody else are denied', async scene => {
  const user = scene.user()
  const wire = await scene.wire(tidelog)
  await wire.signIn(`${user}:c:t`)
  const foreign = ['other:c:t', `${user}:other:t`, user, 'server:x']
  for (const [i, node] of foreign.entries()) {
    const number = i + 1
    wire.send(['sync', number, { type: 'app/add' }, wire.meta(number, node)])
    await wire.next('synced', { fits: frame => frame[1] === number })
    const id = `${wire.base + number} ${node} 0`
    assert.deepEqual(wire.verdicts(id).map(([undo]) => [undo.type, undo.reason]), [['logux/undo', 'denied']])
  }
})

inEachProtocol('another tab of the same client may be the author', async scene => {
  const user = scene.user()
  const wire = await scene.wire(tidelog)
  await wire.signIn(`${user}:c:t`)
  wire.send(['sync', 1, { type: 'app/add' }, wire.meta(1, `${user}:c:other`, 3)])
  await wire.next('synced')
  assert.deepEqual(wire.verdicts(`${wire.base + 1} ${user}:c:other 3`).map(([i]) => i.type), ['logux/processed'])
})

inEachProtocol('a key in meta that is none of the three is denied', async scene => {
  const wire = await scene.wire(tidelog)
  await wire.signIn(`${scene.user()}:c:t`)
  wire.send(['sync', 1, { type: 'app/add' }, { ...wire.meta(1), status: 'processed' }])
  wire.send(['sync', 2, { type: 'app/add' }, { ...wire.meta(2), channels: ['posts/1'] }])
  wire.send(['sync', 3, { type: 'app/add' }, { ...wire.meta(3), subprotocol: subprotocolIn(scene.protocol, 9) }])
  await wire.next('synced', { nth: 3 })
  assert.equal(wire.verdicts(wire.id(1))[0][0].reason, 'denied')
  assert.equal(wire.verdicts(wire.id(2))[0][0].reason, 'denied')
  assert.equal(wire.verdicts(wire.id(3))[0][0].type, 'logux/processed')
})

inEachProtocol('an id that comes twice on one connection is acknowledged twice, judged once, delivered once', async scene => {
  const user = scene.user()
  const other = await scene.page(tidelog, { userId: user })
  const wire = await scene.wire(tidelog)
  await wire.signIn(`${user}:c:t`)
  await wire.sync(1, [{ type: 'app/add' }, 1])
  await wire.sync(2, [{ type: 'app/add' }, 1])
  await wire.sync(3, [{ type: 'secret/add' }, 2])
  await wire.sync(4, [{ type: 'secret/add' }, 2])
  await wire.sync(5, [{ type: 'app/twice' }, 3], [{ type: 'app/twice' }, 3])
  await wire.sync(6, [{ type: 'app/last' }, 4])
  assert.equal(wire.verdicts(wire.id(1)).length, 1)
  assert.equal(wire.verdicts(wire.id(2)).length, 1)
  assert.equal(wire.verdicts(wire.id(3)).length, 1)
  await other.heard.times('app/last')
  assert.equal(other.heard.count('app/add'), 1)
  assert.equal(other.heard.count('app/twice'), 1)
})

inEachProtocol('an id that comes again on another connection gets the same verdict under the same meta id', async scene => {
  const user = scene.user()
  const other = await scene.page(tidelog, { userId: user })
  const first = await scene.wire(tidelog)
  await first.signIn(`${user}:c:t`)
  await first.sync(7, [{ type: 'app/add' }, 1], [{ type: 'secret/add' }, 2])
  first.dispose()
  const second = await scene.wire(tidelog)
  await second.signIn(`${user}:c:t`)
  const shift = first.base - second.base
  await second.sync(7, [{ type: 'app/add' }, shift + 1], [{ type: 'secret/add' }, shift + 2])
  for (const offset of [1, 2]) {
    const [[was, wasMeta]] = first.verdicts(first.id(offset))
    const again = second.verdicts(first.id(offset))
    assert.equal(again.length, 1)
    assert.deepEqual(again[0][0], was)
    assert.equal(again[0][1].id, wasMeta.id)
  }
  await second.sync(8, [{ type: 'app/last' }, 50])
  await other.heard.times('app/last')
  assert.equal(other.heard.count('app/add'), 1)
})

inEachVersion('what is live only reaches who is there, and no one later', async scene => {
  const userId = scene.user()
  const author = await scene.page(tidelog, { userId })
  const present = await scene.page(tidelog, { userId })
  await send(author, { type: 'live/cursor', x: 1 })
  await settled(author)
  await present.heard.times('app/settled')
  await present.heard.times('live/cursor')
  await settled(present)
  assert.equal(present.heard.count('live/cursor'), 1)
  assert.equal(author.heard.count('live/cursor'), 1)
  const late = await scene.page(tidelog, { userId })
  await late.heard.times('app/settled', 2)
  await settled(late)
  assert.equal(late.heard.count('live/cursor'), 0)
})

inEachVersion('a thousand actions in a row are each processed once', async scene => {
  const userId = scene.user()
  const author = await scene.page(tidelog, { userId })
  const other = await scene.page(tidelog, { userId })
  const verdicts = Array.from({ length: 1000 }, (_, n) => send(author, { type: 'app/add', n }))
  await Promise.all(verdicts)
  const heard = await other.heard.times('app/add', 1000)
  assert.deepEqual(heard.map(i => i.action.n), Array.from({ length: 1000 }, (_, n) => n))
  assert.equal(author.heard.count('logux/processed'), 1000)
})
