// request(): a client that lives for one action and takes the first thing it hears for the answer.

import { request } from '@logux/client'
import assert from 'node:assert/strict'
import test from 'node:test'

import { send } from './harness/pages.js'
import { within } from './harness/deadline.js'
import { RULES } from './harness/rules.js'
import { Scene, sharedServer } from './harness/scene.js'

const tidelog = await sharedServer({ config: RULES })

const ask = (action, options) => {
  const settings = { allowDangerousProtocol: true, server: tidelog.url, subprotocol: 10, token: 'any', ...options }
  return within(request(action, settings), 'the answer to the request')
}

test('a request is answered with processed', async () => {
  const answer = await ask({ type: 'app/ask' }, {})
  assert.equal(answer.type, 'logux/processed')
})

test('a request that is undone is rejected with the reason', async () => {
  await assert.rejects(ask({ type: 'secret/ask' }, {}), error => {
    assert.equal(error.name, 'LoguxUndoError')
    assert.equal(error.action.reason, 'denied')
    return true
  })
})

test('a request of a user with a long history gets its own answer first', async t => {
  const scene = new Scene(t)
  const userId = scene.user()
  const page = await scene.page(tidelog, { userId })
  await Promise.all(Array.from({ length: 500 }, (_, n) => send(page, { type: 'app/add', n })))
  for (let i = 0; i < 5; i++) {
    const answer = await ask({ type: 'app/ask' }, { userId })
    assert.equal(answer.type, 'logux/processed')
  }
  await assert.rejects(ask({ type: 'secret/ask' }, { userId }), /denied/)
})
