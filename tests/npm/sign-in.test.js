// Signing in: what the handshake answers to clients of every kind.

import assert from 'node:assert/strict'

import { nameOf, subprotocolIn } from './harness/names.js'
import { reaches, send } from './harness/pages.js'
import { inEachProtocol, inEachVersion, sharedServer } from './harness/scene.js'

const tidelog = await sharedServer({ config: '[server]\nsubprotocol = 10\n' })

inEachVersion('a client signs in and learns who it speaks with', async scene => {
  const page = await scene.page(tidelog, { userId: scene.user() })
  assert.equal(page.node.remoteProtocol, page.kind.protocol)
  assert.match(page.node.remoteNodeId, /^server:/)
  assert.equal(page.node.remoteSubprotocol, subprotocolIn(page.kind.protocol, 10))
  assert.deepEqual(page.errors.items, [])
})

inEachVersion('a development server says so, and a client without the unsafe option stays', async scene => {
  const page = await scene.page(tidelog, { userId: scene.user(), allowDangerousProtocol: false })
  assert.equal(page.node.remoteHeaders.env, 'development')
  await send(page, { type: 'app/add' })
  await reaches(page, 'synchronized')
})

inEachProtocol('connected comes after headers, with start not after end', async scene => {
  const wire = await scene.wire(tidelog)
  const before = Date.now()
  const [, protocol, node, [start, end], options] = await wire.signIn(`${scene.user()}:c:t`)
  assert.deepEqual(
    wire.received.map(i => i[0]),
    ['headers', 'connected']
  )
  assert.equal(protocol, scene.protocol)
  assert.match(node, /^server:/)
  assert.ok(before <= start && start <= end && end <= Date.now())
  assert.equal(options.subprotocol, subprotocolIn(protocol, 10))
})

inEachProtocol('a client without token and subprotocol sends four elements and is answered', async scene => {
  const wire = await scene.wire(tidelog)
  wire.send(['connect', scene.protocol, `${scene.user()}:c:t`, 0])
  await wire.next('connected')
})

for (const node of ['server', 'server:c:t', 'server:c']) {
  inEachProtocol(`nobody signs in as ${node}`, async scene => {
    const wire = await scene.wire(tidelog)
    wire.connect(node, { token: 'any', subprotocol: 10 })
    assert.deepEqual(await wire.end(), [['error', 'wrong-credentials']])
  })
}

inEachProtocol('what comes before sign-in waits and is answered after it, in order', async scene => {
  const wire = await scene.wire(tidelog)
  const node = `${scene.user()}:c:t`
  wire.send(['ping', 0])
  // In 7 an id is not relative to anything.
  const id = scene.protocol === 7 ? nameOf(7, Date.now(), node) : 0
  wire.send(['sync', 1, { type: 'app/early' }, { id, time: 0 }])
  wire.send(['ping', 0])
  await wire.signIn(node)
  await wire.next('pong', { nth: 2 })
  await wire.next('synced')
  const names = wire.received.map(i => i[0])
  assert.ok(names.indexOf('connected') < names.indexOf('pong'))
  assert.ok(names.indexOf('pong') < names.indexOf('synced'))
})

inEachProtocol('a second connection of a client replaces the first without a word', async scene => {
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

inEachVersion('two clients of one user stay side by side', async scene => {
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

inEachVersion('a client goes away and signs in again under the same node', async scene => {
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
