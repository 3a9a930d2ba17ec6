// Keep-alive: pings in both directions, and what silence leads to.

import assert from 'node:assert/strict'

import { reaches, send } from './harness/pages.js'
import { DOWN, UP } from './harness/proxy.js'
import { inEachProtocol, inEachVersion, sharedServer } from './harness/scene.js'

const tidelog = await sharedServer()
const hasty = await sharedServer({
  config: `
[limits]
handshake = "400ms"
ping = "300ms"
timeout = "600ms"
`
})
// Asks as often, and waits for answers longer than a loaded machine takes.
const patient = await sharedServer({
  config: `
[limits]
ping = "300ms"
timeout = "20s"
`
})

inEachVersion('pings of an idle client are answered, and it stays', async scene => {
  const proxy = await scene.proxy(tidelog)
  const page = await scene.page(proxy, { userId: scene.user() })
  const lost = []
  page.node.on('state', () => lost.push(page.state))
  await proxy.frames.until(
    items => items.filter(i => i.dir === DOWN && i.frame[0] === 'pong').length >= 4,
    'four pongs'
  )
  assert.ok(proxy.list({ dir: UP, name: 'ping' }).length >= 4)
  assert.deepEqual(lost, [])
  assert.deepEqual(page.errors.items, [])
})

inEachVersion('a client that hears nothing times out and comes back', async scene => {
  const proxy = await scene.proxy(tidelog)
  const page = await scene.page(proxy, { userId: scene.user(), timeout: 500 })
  proxy.rule = ({ dir }) => (dir === DOWN ? 'drop' : 'pass')
  await reaches(page, 'disconnected')
  assert.equal(page.errors.items[0].type, 'timeout')
  proxy.rule = undefined
  await reaches(page, 'synchronized')
  await send(page, { type: 'app/back' })
})

inEachProtocol('a socket that never says connect is closed without a frame', async scene => {
  const wire = await scene.wire(hasty)
  assert.deepEqual(await wire.end(), [])
})

inEachProtocol('a socket that only sends headers is closed just the same', async scene => {
  const wire = await scene.wire(hasty)
  wire.send(['headers', { locale: 'en' }])
  wire.send(['ping', 1])
  assert.deepEqual(await wire.end(), [])
})

inEachProtocol('a silent client is asked, and stays as long as it answers', async scene => {
  const wire = await scene.wire(patient)
  await wire.signIn(`${scene.user()}:c:t`)
  for (let nth = 1; nth <= 4; nth++) {
    await wire.next('ping', { nth })
    wire.send(['pong', 0])
  }
  await wire.sync(1, [{ type: 'app/here' }, 1])
  assert.equal(wire.verdicts(wire.id(1)).length, 1)
})

inEachProtocol('a client that does not answer a ping is closed without a frame', async scene => {
  const wire = await scene.wire(hasty)
  await wire.signIn(`${scene.user()}:c:t`)
  const frames = await wire.end()
  const ready = scene.protocol === 7 ? ['ready'] : []
  assert.deepEqual(frames.map(i => i[0]), ['headers', 'connected', ...ready, 'ping'])
})

inEachProtocol('a client that takes actions and never acknowledges them is closed', async (scene, t) => {
  const user = scene.user()
  const writer = await scene.wire(hasty)
  await writer.signIn(`${user}:w:t`)
  await writer.sync(1, [{ type: 'app/add' }, 1])
  const reader = await scene.wire(hasty, { acknowledge: false })
  await reader.signIn(`${user}:r:t`)
  await reader.next('sync')
  // It answers pings all the while, so it is not taken for dead.
  const alive = setInterval(() => reader.send(['pong', 0]), 100)
  t.after(() => clearInterval(alive))
  await reader.end()
})

inEachVersion('a real client with its own clock of pings and a server with another live together', async scene => {
  const proxy = await scene.proxy(patient)
  const page = await scene.page(proxy, { userId: scene.user() })
  await proxy.frames.until(
    items => items.filter(i => i.dir === UP && i.frame[0] === 'pong').length >= 5,
    'five pongs of the client'
  )
  assert.equal(proxy.accepted, 1)
  assert.deepEqual(page.errors.items, [])
})
