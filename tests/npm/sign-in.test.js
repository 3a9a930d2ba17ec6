// Signing in: what the handshake answers to clients of every kind.

import assert from 'node:assert/strict'
import test from 'node:test'

import { reaches, send } from './harness/pages.js'
import { Scene, sharedServer } from './harness/scene.js'

const tidelog = await sharedServer({ config: '[server]\nsubprotocol = 10\n' })

test('a client signs in and learns who it speaks with', async t => {
  const scene = new Scene(t)
  const page = await scene.page(tidelog, { userId: scene.user() })
  assert.equal(page.node.remoteProtocol, 5)
  assert.match(page.node.remoteNodeId, /^server:/)
  assert.equal(page.node.remoteSubprotocol, 10)
  assert.deepEqual(page.errors.items, [])
})

test('a development server says so, and a client without the unsafe option stays', async t => {
  const scene = new Scene(t)
  const page = await scene.page(tidelog, { userId: scene.user(), allowDangerousProtocol: false })
  assert.equal(page.node.remoteHeaders.env, 'development')
  await send(page, { type: 'app/add' })
  await reaches(page, 'synchronized')
})

test('connected comes after headers, with start not after end', async t => {
  const scene = new Scene(t)
  const wire = await scene.wire(tidelog)
  const before = Date.now()
  const [, protocol, node, [start, end], options] = await wire.signIn(`${scene.user()}:c:t`)
  assert.deepEqual(
    wire.received.map(i => i[0]),
    ['headers', 'connected']
  )
  assert.equal(protocol, 5)
  assert.match(node, /^server:/)
  assert.ok(before <= start && start <= end && end <= Date.now())
  assert.equal(options.subprotocol, 10)
})

test('a client without token and subprotocol sends four elements and is answered', async t => {
  const scene = new Scene(t)
  const wire = await scene.wire(tidelog)
  wire.send(['connect', 5, `${scene.user()}:c:t`, 0])
  await wire.next('connected')
})

for (const node of ['server', 'server:c:t', 'server:c']) {
  test(`nobody signs in as ${node}`, async t => {
    const scene = new Scene(t)
    const wire = await scene.wire(tidelog)
    wire.send(['connect', 5, node, 0, { token: 'any', subprotocol: 10 }])
    assert.deepEqual(await wire.end(), [['error', 'wrong-credentials']])
  })
}

test('what comes before sign-in waits and is answered after it, in order', async t => {
  const scene = new Scene(t)
  const wire = await scene.wire(tidelog)
  wire.send(['ping', 0])
  wire.send(['sync', 1, { type: 'app/early' }, { id: 0, time: 0 }])
  wire.send(['ping', 0])
  await wire.signIn(`${scene.user()}:c:t`)
  await wire.next('pong', { nth: 2 })
  await wire.next('synced')
  const names = wire.received.map(i => i[0])
  assert.ok(names.indexOf('connected') < names.indexOf('pong'))
  assert.ok(names.indexOf('pong') < names.indexOf('synced'))
})

test('a second connection of a client replaces the first without a word', async t => {
  const scene = new Scene(t)
  const user = scene.user()
  const first = await scene.wire(tidelog)
  await first.signIn(`${user}:same:tab1`)
  const second = await scene.wire(tidelog)
  await second.signIn(`${user}:same:tab2`)
  const frames = await first.end()
  assert.deepEqual(frames.filter(i => i[0] === 'error'), [])
  await second.sync(1, [{ type: 'app/alive' }, 1])
  assert.equal(second.verdicts(second.id(1)).length, 1)
})

test('two clients of one user stay side by side', async t => {
  const scene = new Scene(t)
  const userId = scene.user()
  const one = await scene.page(tidelog, { userId })
  const two = await scene.page(tidelog, { userId })
  await send(one, { type: 'app/one' })
  await send(two, { type: 'app/two' })
  for (const page of [one, two]) {
    await reaches(page, 'synchronized')
    assert.deepEqual(page.errors.items, [])
  }
})

test('a client goes away and signs in again under the same node', async t => {
  const scene = new Scene(t)
  const proxy = await scene.proxy(tidelog)
  const page = await scene.page(proxy, { userId: scene.user() })
  for (let i = 0; i < 3; i++) {
    const left = reaches(page, 'disconnected')
    proxy.cut()
    await left
    await reaches(page, 'synchronized')
  }
  assert.equal(proxy.accepted, 4)
  await send(page, { type: 'app/back' })
})
