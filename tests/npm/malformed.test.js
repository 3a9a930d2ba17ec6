// Frames that break the rules: the documented answer, the close of that connection, and nothing for anybody else.

import assert from 'node:assert/strict'
import test from 'node:test'

import { send } from './harness/pages.js'
import { Scene, sharedServer } from './harness/scene.js'

const tidelog = await sharedServer()

const wrongFormat = text => ['error', 'wrong-format', text]
const unknown = name => ['error', 'unknown-message', name]
const shape = frame => [frame, wrongFormat(frame)]

// Each frame is sent before sign-in and, on another connection, after it. The text of wrong-format is the offending text.
const REFUSED = [
  ['{oops', wrongFormat('{oops')],
  ['', wrongFormat('')],
  ['"text"', wrongFormat('"text"')],
  shape('{}'),
  shape('{"0":"ping","1":1}'),
  shape('[]'),
  shape('null'),
  shape('[1]'),
  shape('[null]'),
  shape('[["ping",1]]'),
  ['["constructor",1]', unknown('constructor')],
  ['["__proto__"]', unknown('__proto__')],
  ['["toString"]', unknown('toString')],
  ['["connectMessage",1]', unknown('connectMessage')],
  ['["",1]', unknown('')],
  shape('["headers",null]'),
  shape('["headers",[]]'),
  shape('["headers"]'),
  shape('["headers",{},{}]'),
  shape('["connect",5,"1:a:b",0,null]'),
  shape('["connect",5,"1:a:b",0,[]]'),
  shape('["connect",5,"1:a:b"]'),
  shape('["connect","5","1:a:b",0]'),
  shape('["connect",5,1,0]'),
  shape('["connect",5,"1:a:b",null]'),
  shape('["sync","1"]'),
  shape('["sync",1,{"type":"a"}]'),
  shape('["sync",1,{"type":"a"},null]'),
  shape('["sync",1,null,{"id":1,"time":1}]'),
  shape('["sync",1,[],{"id":1,"time":1}]'),
  shape('["sync",1,{"type":1},{"id":1,"time":1}]'),
  shape('["sync",1,{},{"id":1,"time":1}]'),
  shape('["sync",1,{"type":"a"},{"id":1}]'),
  shape('["sync",1,{"type":"a"},{"time":1}]'),
  shape('["sync",1,{"type":"a"},{"id":[1],"time":1}]'),
  shape('["sync",1,{"type":"a"},{"id":[1,2,3],"time":1}]'),
  shape('["sync",1,{"type":"a"},{"id":[1,"x:y",3,4],"time":1}]'),
  shape('["ping","x"]'),
  shape('["ping"]'),
  shape('["pong",null]'),
  shape('["synced"]'),
  shape('["synced",1,2]'),
  shape('["debug","error"]'),
  shape('["debug","info","x"]'),
  shape('["error"]'),
  shape('["error",1]'),
  shape('["error","a","b","c"]')
]

// Right in another version of the protocol: refused as soon as the version is known.
const OF_ANOTHER_VERSION = ['["sync",1,{"type":"a"},{"id":"1","time":1}]', Buffer.from([0x70, 0x18])]

const lastError = frames => frames.filter(i => i[0] === 'error').at(-1)

for (const [frame, answer] of REFUSED) {
  test(`${frame || '(nothing)'} is refused before sign-in`, async t => {
    const scene = new Scene(t)
    const wire = await scene.wire(tidelog)
    wire.send(frame)
    assert.deepEqual(await wire.end(), [answer])
  })

  test(`${frame || '(nothing)'} is refused after sign-in`, async t => {
    const scene = new Scene(t)
    const wire = await scene.wire(tidelog)
    await wire.signIn(`${scene.user()}:c:t`)
    wire.send(frame)
    assert.deepEqual(lastError(await wire.end()), answer)
  })
}

test('bytes that are no UTF-8 close that connection', async t => {
  const scene = new Scene(t)
  for (const bytes of [[0xff, 0xfe], [0x5b, 0x22, 0xc3, 0x28, 0x22, 0x5d]]) {
    const wire = await scene.wire(tidelog)
    await wire.signIn(`${scene.user()}:c:t`)
    wire.socket.send(Buffer.from(bytes), { binary: false })
    await wire.end()
  }
})

for (const frame of OF_ANOTHER_VERSION) {
  test(`${frame.toString('latin1')} is no protocol 5 and closes that connection`, async t => {
    const scene = new Scene(t)
    const connect = JSON.stringify(['connect', 5, `${scene.user()}:c:t`, 0, { token: 'any', subprotocol: 10 }])
    for (const frames of [[frame, connect], [connect, frame]]) {
      const wire = await scene.wire(tidelog)
      for (const one of frames) wire.socket.send(one, { binary: typeof one !== 'string' })
      await wire.end()
    }
  })
}

test('JSON nested a hundred thousand deep is refused', async t => {
  const scene = new Scene(t)
  const deep = '['.repeat(100_000) + ']'.repeat(100_000)
  for (const frame of [deep, `["sync",1,{"type":"a","deep":${deep}},{"id":1,"time":1}]`]) {
    const wire = await scene.wire(tidelog)
    wire.send(frame)
    const [answer] = await wire.end()
    assert.equal(answer?.[1], 'wrong-format')
  }
})

// These look odd and are right.
for (const frame of ['["debug","error","x"]', '["error","x"]', '["error","x",{"any":1}]', '["headers",{}]']) {
  test(`${frame} is taken without an answer`, async t => {
    const scene = new Scene(t)
    const wire = await scene.wire(tidelog)
    await wire.signIn(`${scene.user()}:c:t`)
    wire.send(frame)
    wire.send(['ping', 0])
    await wire.next('pong')
    assert.deepEqual(
      wire.received.map(i => i[0]),
      ['headers', 'connected', 'pong']
    )
  })
}

test('a sync of nothing is acknowledged', async t => {
  const scene = new Scene(t)
  const wire = await scene.wire(tidelog)
  await wire.signIn(`${scene.user()}:c:t`)
  wire.send(['sync', 1])
  assert.deepEqual(await wire.next('synced'), ['synced', 1])
})

test('synced, pong and ready that nobody asked for change nothing', async t => {
  const scene = new Scene(t)
  const wire = await scene.wire(tidelog)
  await wire.signIn(`${scene.user()}:c:t`)
  wire.send(['synced', 12])
  wire.send(['pong', 3])
  await wire.sync(1, [{ type: 'app/after' }, 1])
  assert.equal(wire.verdicts(wire.id(1)).length, 1)
})

test('a neighbour notices nothing of all this', async t => {
  const scene = new Scene(t)
  const page = await scene.page(tidelog, { userId: scene.user() })
  for (const [frame] of REFUSED) {
    const wire = await scene.wire(tidelog)
    wire.send(frame)
    await wire.end()
    await send(page, { type: 'app/undisturbed' })
  }
  assert.equal(page.heard.count('logux/processed'), REFUSED.length)
  assert.deepEqual(page.errors.items, [])
})
