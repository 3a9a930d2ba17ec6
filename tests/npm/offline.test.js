// Being offline: what was dispatched arrives once, what was missed comes back, whatever moment the line broke.

import assert from 'node:assert/strict'

import { kept, reaches, send, settled } from './harness/pages.js'
import { DOWN, UP } from './harness/proxy.js'
import { inEachProtocol, inEachVersion, sharedServer } from './harness/scene.js'

const tidelog = await sharedServer()

const add = (page, n) => page.sync({ type: 'app/add', n })
const ns = page => page.heard.list('app/add').map(i => i.action.n)

inEachVersion('actions of an offline page arrive once, oldest first, in as few frames as its version makes', async scene => {
  const proxy = await scene.proxy(tidelog)
  const userId = scene.user()
  const other = await scene.page(tidelog, { userId })
  const page = await scene.page(proxy, { userId })
  proxy.goOffline()
  await reaches(page, 'disconnected')
  const verdicts = Array.from({ length: 1000 }, (_, n) => add(page, n))
  proxy.goOnline()
  await Promise.all(verdicts)
  const syncs = proxy.list({ dir: UP, name: 'sync', link: proxy.accepted })
  assert.equal(syncs.length, scene.speaks.startsWith('7') ? 10 : 1)
  await other.heard.times('app/add', 1000)
  assert.deepEqual(ns(other), Array.from({ length: 1000 }, (_, n) => n))
  assert.equal(page.heard.count('logux/processed'), 1000)
  await reaches(page, 'synchronized')
  assert.deepEqual(await kept(page), [])
})

inEachVersion('a page that was away gets what it missed, once, and not its own', async scene => {
  const proxy = await scene.proxy(tidelog)
  const userId = scene.user()
  const desk = await scene.page(tidelog, { userId })
  const phone = await scene.page(proxy, { userId })
  await add(desk, 1)
  await add(phone, 2)
  await phone.heard.times('app/add', 2)
  for (let round = 0; round < 3; round++) {
    proxy.goOffline()
    await reaches(phone, 'disconnected')
    await add(desk, `desk ${round}`)
    const own = add(phone, `phone ${round}`)
    proxy.goOnline()
    await own
    await phone.heard.times(i => i.action.n === `desk ${round}`)
  }
  await settled(phone)
  await desk.heard.times('app/add', 8)
  await settled(desk)
  assert.deepEqual(ns(phone).sort(), ns(desk).sort())
  assert.equal(new Set(ns(phone)).size, 8)
  assert.equal(ns(phone).length, 8)
})

inEachVersion('a connection that breaks before synced: the same ids come again and are stored once', async scene => {
  const proxy = await scene.proxy(tidelog)
  const userId = scene.user()
  const other = await scene.page(tidelog, { userId })
  const page = await scene.page(proxy, { userId })
  proxy.rule = ({ dir, name }) => (dir === DOWN && name?.startsWith('sync') ? 'cut' : 'pass')
  const verdict = add(page, 1)
  await reaches(page, 'disconnected')
  await other.heard.times('app/add')
  proxy.rule = undefined
  await verdict
  await send(page, { type: 'app/last' })
  await other.heard.times('app/last')
  const sent = proxy.frames.items.filter(i => i.dir === UP && i.frame[2]?.type === 'app/add')
  assert.equal(sent.length, 2)
  assert.deepEqual(ns(other), [1])
  assert.deepEqual(ns(page), [1])
  assert.equal(page.heard.list(i => i.action.type === 'logux/processed').length, 2)
})

inEachVersion('a connection that breaks between the verdict and synced costs nothing', async scene => {
  const proxy = await scene.proxy(tidelog)
  const userId = scene.user()
  const page = await scene.page(proxy, { userId })
  proxy.rule = ({ dir, name }) => (dir === DOWN && name === 'synced' ? 'cut' : 'pass')
  await add(page, 1)
  proxy.rule = undefined
  await reaches(page, 'synchronized')
  await settled(page)
  const fresh = await scene.page(tidelog, { userId })
  await fresh.heard.times('app/settled')
  assert.deepEqual(ns(fresh), [1])
})

inEachVersion('a page whose frames are swallowed gives up, comes back and loses nothing', async scene => {
  const proxy = await scene.proxy(tidelog)
  const userId = scene.user()
  const page = await scene.page(proxy, { userId })
  proxy.rule = ({ dir }) => (dir === UP ? 'drop' : 'pass')
  const verdict = add(page, 1)
  await reaches(page, 'disconnected')
  assert.ok(page.errors.items.some(i => i.type === 'timeout'))
  proxy.rule = undefined
  await verdict
  const fresh = await scene.page(tidelog, { userId })
  await fresh.heard.times('app/add')
  await settled(fresh)
  assert.deepEqual(ns(fresh), [1])
})

inEachVersion('a new device gets the whole history in order and a cursor that covers it', async scene => {
  const userId = scene.user()
  const first = await scene.page(tidelog, { userId })
  const count = 2500
  await Promise.all(Array.from({ length: count }, (_, n) => add(first, n)))
  const proxy = await scene.proxy(tidelog)
  const fresh = await scene.page(proxy, { userId })
  await fresh.heard.times('app/add', count)
  assert.deepEqual(ns(fresh), Array.from({ length: count }, (_, n) => n))
  assert.deepEqual(
    fresh.heard.list('app/add').map(i => i.meta.id),
    first.heard.list('app/add').map(i => i.meta.id)
  )
  await settled(fresh)
  proxy.goOffline()
  await reaches(fresh, 'disconnected')
  proxy.goOnline()
  await reaches(fresh, 'synchronized')
  await settled(fresh)
  assert.equal(fresh.heard.count('app/add'), count)
})

inEachProtocol('a backlog goes out in ascending pieces that wait for their acknowledgement', async scene => {
  const user = scene.user()
  const author = await scene.page(tidelog, { userId: user })
  const count = 5000
  await Promise.all(Array.from({ length: count }, (_, n) => add(author, n)))
  const reader = await scene.wire(tidelog, { acknowledge: false })
  await reader.signIn(`${user}:reader:t`)
  // Acknowledge piece after piece; what was not acknowledged is in flight, and bounded.
  let acknowledged = 0
  let largest = 0
  while (reader.actions().length < count) {
    const syncs = () => reader.received.filter(i => i[0] === 'sync')
    await reader.frames.until(() => syncs().length > acknowledged, `a piece after the ${acknowledged}th`)
    largest = Math.max(largest, syncs().length - acknowledged)
    const number = syncs()[acknowledged][1]
    acknowledged += 1
    reader.send(['synced', number])
  }
  const numbers = reader.received.filter(i => i[0] === 'sync').map(i => i[1])
  assert.deepEqual(numbers, [...numbers].sort((a, b) => a - b))
  assert.deepEqual(reader.actions().map(([action]) => action.n), Array.from({ length: count }, (_, n) => n))
  assert.ok(numbers.length > 1, 'one frame for five thousand actions')
  assert.ok(largest < numbers.length, 'everything was sent without waiting')
})

inEachVersion('the cursor that a page stores never falls', async scene => {
  const proxy = await scene.proxy(tidelog)
  const userId = scene.user()
  const desk = await scene.page(tidelog, { userId })
  const page = await scene.page(proxy, { userId })
  const cursors = []
  const store = page.log.store
  const setLastSynced = store.setLastSynced.bind(store)
  store.setLastSynced = async values => {
    if (values.received !== undefined) cursors.push(values.received)
    return setLastSynced(values)
  }
  for (let round = 0; round < 25; round++) {
    const work = []
    for (let n = 0; n < 20; n++) {
      work.push(add(desk, `desk ${round} ${n}`), add(page, `page ${round} ${n}`))
      if (n === 10) page.node.sendPing()
    }
    if (round % 10 === 9) proxy.cut()
    await Promise.all(work)
  }
  await settled(page)
  assert.ok(cursors.length > 50)
  for (let i = 1; i < cursors.length; i++) {
    assert.ok(cursors[i] >= cursors[i - 1], `${cursors[i - 1]} then ${cursors[i]}`)
  }
})

inEachProtocol('numbers on a connection never fall, and the last one is where a resume starts', async scene => {
  const user = scene.user()
  const author = await scene.page(tidelog, { userId: user })
  const reader = await scene.wire(tidelog)
  await reader.signIn(`${user}:reader:t`)
  for (let n = 0; n < 10; n++) {
    await add(author, n)
    await reader.frames.until(() => reader.actions().length > n, `action ${n}`)
    reader.send(['ping', 0])
    await reader.next('pong', { nth: n + 1 })
  }
  const numbers = reader.received.filter(i => ['sync', 'pong', 'ping'].includes(i[0])).map(i => i[1])
  assert.deepEqual(numbers, [...numbers].sort((a, b) => a - b))
  await add(author, 'later')
  const again = await scene.wire(tidelog)
  await again.signIn(`${user}:another:t`, { synced: numbers.at(-1) })
  await again.frames.until(() => again.actions().length > 0, 'what came later')
  assert.deepEqual(again.actions().map(([i]) => i.n), ['later'])
})

for (const [what, forge] of [
  ['of another user', async (scene, user) => await numberOf(scene, scene.user(), 3)],
  ['that nobody minted', async () => 123_456_789],
  ['with a tag that is wrong', async (scene, user) => (await numberOf(scene, user, 3)) ^ 1],
  ['from the future', async (scene, user) => (await numberOf(scene, user, 3)) + 4096 * 1_000_000]
]) {
  inEachProtocol(`a number ${what} makes the history start from the beginning`, async scene => {
    const user = scene.user()
    const author = await scene.page(tidelog, { userId: user })
    for (const n of [1, 2, 3]) await add(author, n)
    const synced = await forge(scene, user)
    const reader = await scene.wire(tidelog)
    await reader.signIn(`${user}:reader:t`, { synced })
    await reader.frames.until(() => reader.actions().filter(([i]) => i.n === 3).length > 0, 'the history')
    assert.deepEqual(reader.actions().map(([i]) => i.n).filter(Number.isInteger).slice(0, 3), [1, 2, 3])
  })
}

/** The number that a reader of this user's log holds after `count` more actions. */
async function numberOf(scene, user, count) {
  const author = await scene.page(tidelog, { userId: user })
  const reader = await scene.wire(tidelog)
  await reader.signIn(`${user}:holder:t`)
  for (let i = 0; i < count; i++) await send(author, { type: 'app/other' })
  await reader.frames.until(() => reader.actions().filter(([i]) => i.type === 'app/other').length === count, 'all')
  return reader.received.filter(i => i[0] === 'sync').at(-1)[1]
}
