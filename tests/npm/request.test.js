// request(): a client that lives for one action and takes the first thing it hears for the answer.

import assert from 'node:assert/strict'

import { send } from './harness/pages.js'
import { within } from './harness/deadline.js'
import { RULES } from './harness/rules.js'
import { inEachClient, sharedServer } from './harness/scene.js'
import { kindOf } from './harness/spoken.js'

const tidelog = await sharedServer({ config: RULES })

const ask = ({ speaks }, action, options) => {
  const { api, connection } = kindOf(speaks)
  const server = connection?.(tidelog.url) ?? tidelog.url
  const settings = { allowDangerousProtocol: true, server, subprotocol: 10, token: 'any', ...options }
  return within(api.request(action, settings), 'the answer to the request')
}

inEachClient('a request is answered with processed', async scene => {
  const answer = await ask(scene, { type: 'app/ask' }, {})
  assert.equal(answer.type, 'logux/processed')
})

inEachClient('a request that is undone is rejected with the reason', async scene => {
  await assert.rejects(ask(scene, { type: 'secret/ask' }, {}), error => {
    assert.equal(error.name, 'LoguxUndoError')
    assert.equal(error.action.reason, 'denied')
    return true
  })
})

inEachClient('a request of a user with a long history gets its own answer first', async scene => {
  const userId = scene.user()
  const page = await scene.page(tidelog, { userId })
  await Promise.all(Array.from({ length: 500 }, (_, n) => send(page, { type: 'app/add', n })))
  for (let i = 0; i < 5; i++) {
    const answer = await ask(scene, { type: 'app/ask' }, { userId })
    assert.equal(answer.type, 'logux/processed')
  }
  await assert.rejects(ask(scene, { type: 'secret/ask' }, { userId }), /denied/)
})
