// What the demo says of actions that anybody may have written.

import assert from 'node:assert/strict'
import test from 'node:test'

import { inWords } from '../demo/server.js'

test('what the page makes is said in words', () => {
  assert.equal(inWords({ type: 'crdt/counter/add', by: -2 }), 'counts −2')
  const changes = [{ op: 'list/insert', value: 'milk' }, { op: 'list/move' }]
  assert.equal(inWords({ changes, type: 'crdt/batch' }), 'adds “milk” and moves an item')
})

test('of what it cannot say it names the type', () => {
  const odd = [{}, { changes: null }, { changes: 'all' }, { changes: [null] }, { changes: [{ op: 'list/insert', values: 5 }] }]
  for (const one of odd) assert.equal(inWords({ ...one, type: 'crdt/batch' }), 'crdt/batch')
  assert.equal(inWords({ type: 'crdt/toString' }), 'toString')
  assert.equal(inWords({ type: 'note' }), 'note')
})
