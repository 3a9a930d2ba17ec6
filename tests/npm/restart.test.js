// Servers that stop, die, are restored from a backup or exchanged: pages go on by themselves, and nothing is skipped.

import assert from 'node:assert/strict'

import { reaches, send, settled } from './harness/pages.js'
import { DOWN } from './harness/proxy.js'
import { RULES } from './harness/rules.js'
import { inEachProtocol, inEachVersion } from './harness/scene.js'
import { storedLog } from './harness/server.js'

const add = (page, n) => send(page, { type: 'app/add', n })
const ns = page => page.heard.list('app/add').map(i => i.action.n)
const hears = (page, n) => page.heard.times(i => i.action.type === 'app/add' && i.action.n === n)

const ENDS = {
  'a stop': server => server.stop(),
  'a kill': server => server.kill()
}

for (const [what, end] of Object.entries(ENDS)) {
  inEachVersion(`after ${what} pages go on, each action once, and numbers continue`, async scene => {
    const server = await scene.server()
    const proxy = await scene.proxy(server)
    const userId = scene.user()
    const desk = await scene.page(server, { userId })
    const page = await scene.page(proxy, { userId })
    await add(desk, 1)
    await add(page, 2)
    await hears(page, 1)
    await end(server)
    await reaches(page, 'disconnected')
    await reaches(desk, 'disconnected')
    const offline = [add(desk, 3), add(page, 4)]
    await server.start()
    await Promise.all(offline)
    await add(desk, 5)
    for (const n of [1, 2, 3, 4, 5]) {
      await hears(page, n)
      await hears(desk, n)
    }
    await settled(page)
    await settled(desk)
    assert.deepEqual(ns(page).sort(), [1, 2, 3, 4, 5])
    assert.deepEqual(ns(desk).sort(), [1, 2, 3, 4, 5])
    const numbers = proxy.list({ dir: DOWN, name: 'sync' }).map(i => i[1])
    assert.deepEqual(numbers, [...numbers].sort((a, b) => a - b))
  })

  inEachVersion(`after ${what} a new device has the history`, async scene => {
    const server = await scene.server()
    const userId = scene.user()
    const page = await scene.page(server, { userId })
    await Promise.all(Array.from({ length: 500 }, (_, n) => add(page, n)))
    await end(server)
    await server.start()
    const fresh = await scene.page(server, { userId })
    await fresh.heard.times('app/add', 500)
    await settled(fresh)
    assert.deepEqual(ns(fresh), Array.from({ length: 500 }, (_, n) => n))
  })

  inEachProtocol(`after ${what} an id that was accepted before is a duplicate`, async scene => {
    const server = await scene.server()
    const user = scene.user()
    const first = await scene.wire(server)
    await first.signIn(`${user}:c:t`)
    await first.sync(1, [{ type: 'app/add', n: 1 }, 1])
    const [[, verdict]] = first.verdicts(first.id(1))
    await end(server)
    await server.start()
    const second = await scene.wire(server)
    await second.signIn(`${user}:c:t`)
    const shift = first.base - second.base
    await second.sync(1, [{ type: 'app/add', n: 1 }, shift + 1])
    const [[, again]] = second.verdicts(first.id(1))
    assert.equal(again.id, verdict.id)
    await server.stop()
    assert.equal((await storedLog(server, { user })).length, 1)
  })

  inEachVersion(`after ${what} subscriptions go on`, async scene => {
    const server = await scene.server({ config: RULES })
    const author = await scene.page(server, { userId: scene.user() })
    const reader = await scene.page(server, { userId: scene.user() })
    const post = n => send(author, { type: 'posts/say', id: 'x', n })
    const said = () => reader.heard.list('posts/say').map(i => i.action.n)
    await post(1)
    await send(reader, { type: 'logux/subscribe', channel: 'posts/x' })
    await post(2)
    await reader.heard.times('posts/say', 2)
    await settled(reader)
    await end(server)
    await reaches(reader, 'disconnected')
    await server.start()
    await reaches(reader, 'synchronized')
    await post(3)
    await reader.heard.times(i => i.action.n === 3)
    await settled(reader)
    // A killed server may have forgotten how far the page had come, and then sends again.
    if (what === 'a stop') assert.deepEqual(said(), [1, 2, 3])
    assert.deepEqual([...new Set(said())].sort(), [1, 2, 3])
  })
}

inEachVersion('a page that is ahead of a restored backup misses nothing of what comes after it', async scene => {
  const server = await scene.server()
  const proxy = await scene.proxy(server)
  const userId = scene.user()
  const desk = await scene.page(server, { userId })
  const page = await scene.page(proxy, { userId, keep: true })
  const bare = await scene.page(proxy, { userId })
  for (const n of [1, 2]) await add(desk, n)
  await server.stop()
  const copy = await server.backup()
  await server.start()
  for (const n of ['lost 1', 'lost 2', 'lost 3']) await add(desk, n)
  for (const reader of [page, bare]) {
    await hears(reader, 'lost 3')
    await settled(reader)
  }
  proxy.goOffline()
  desk.destroy()
  await server.stop()
  await server.restore(copy)
  await server.start()
  // As many again: their positions are those that the lost ones had.
  const fresh = await scene.page(server, { userId })
  for (const n of [3, 4, 5, 6]) await add(fresh, n)
  proxy.goOnline()
  for (const reader of [page, bare]) {
    for (const n of [3, 4, 5, 6]) await hears(reader, n)
    await settled(reader)
  }
  assert.deepEqual(ns(page), [1, 2, 'lost 1', 'lost 2', 'lost 3', 3, 4, 5, 6])
})

inEachVersion('a restored backup takes again what pages still hold unacknowledged', async scene => {
  const server = await scene.server()
  const proxy = await scene.proxy(server)
  const userId = scene.user()
  const page = await scene.page(proxy, { userId })
  await add(page, 1)
  proxy.goOffline()
  await reaches(page, 'disconnected')
  await server.stop()
  const copy = await server.backup()
  await server.start()
  const verdicts = [add(page, 2), add(page, 3)]
  proxy.rule = ({ dir, name }) => (dir === DOWN && name?.startsWith('sync') ? 'cut' : 'pass')
  proxy.goOnline()
  const other = await scene.page(server, { userId })
  await hears(other, 3)
  await server.stop()
  await server.restore(copy)
  proxy.rule = undefined
  await server.start()
  await Promise.all(verdicts)
  await server.stop()
  const stored = await storedLog(server, { user: userId })
  assert.deepEqual(stored.map(i => i.action.n), [1, 2, 3])
})

inEachVersion('a page that moves between two servers has everything of both, and nothing twice', async scene => {
  const servers = [await scene.server(), await scene.server()]
  const target = { url: servers[0].url }
  const proxy = await scene.proxy(target)
  const userId = scene.user()
  const desks = [await scene.page(servers[0], { userId }), await scene.page(servers[1], { userId })]
  for (const n of [1, 2, 3, 4, 5]) await add(desks[0], `first ${n}`)
  for (const n of [1, 2]) await add(desks[1], `second ${n}`)
  const page = await scene.page(proxy, { userId })
  const move = async to => {
    const left = reaches(page, 'disconnected')
    target.url = servers[to].url
    proxy.cut()
    await left
    await reaches(page, 'synchronized')
  }
  await page.heard.times('app/add', 5)
  await settled(page)
  await add(desks[0], 'first while there')
  await hears(page, 'first while there')
  await settled(page)

  await move(1)
  await hears(page, 'second 2')
  await add(page, 'from the page')
  await hears(desks[1], 'from the page')
  await add(desks[0], 'first while away')

  await move(0)
  await hears(page, 'first while away')
  await add(desks[1], 'second while away')
  await settled(page)

  await move(1)
  await hears(page, 'second while away')
  await settled(page)
  const heard = ns(page)
  const expected = [
    ...[1, 2, 3, 4, 5].map(n => `first ${n}`),
    'first while there',
    'second 1',
    'second 2',
    'from the page',
    'first while away',
    'second while away'
  ]
  assert.deepEqual([...new Set(heard)], expected)
  assert.deepEqual(heard, expected)
})

inEachVersion('a server that is told to stop finishes what it has, and exits with 0', async scene => {
  const server = await scene.server()
  const userId = scene.user()
  const page = await scene.page(server, { userId })
  const acknowledged = []
  const dispatched = Array.from({ length: 300 }, (_, n) => {
    return page.sync({ type: 'app/add', n }).then(() => acknowledged.push(n))
  })
  await page.heard.times('logux/processed', 20)
  await server.stop()
  const stored = new Set((await storedLog(server, { user: userId })).map(i => i.action.n))
  for (const n of acknowledged) assert.ok(stored.has(n), `${n} was acknowledged and is not there`)
  await server.start()
  await Promise.all(dispatched)
  await server.stop()
  assert.equal((await storedLog(server, { user: userId })).length, 300)
})
