// The histories and actions that the server's CRDT crate is tested with: `crdt/tests/shared`.

import { deepEqual, equal, fail, ok } from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { Document, Malformed, parse } from '../../src/crdt/index.js'

const shared = name => JSON.parse(readFileSync(new URL(`../../../../crdt/tests/shared/${name}`, import.meta.url)))
const histories = shared('histories.json')

// What a page folds right that is not told what others had seen.
const WITHOUT_CONTEXT = [
  'record', 'list', 'text', 'two-phase-set', 'lww-set', 'grow-set', 'register', 'counter', 'grow-counter'
]
// What goes on from a state as if nothing were missing.
const FROM_STATE = ['register', 'counter', 'grow-counter', 'grow-set']

const removes = ({ entries }) => entries.some(([action]) => action.type === 'crdt/map/remove')
const fold = (entries, document = new Document('d')) =>
  entries.reduce((folded, [action, meta]) => folded.apply(action, meta), document)

// The same orders on every run.
function shuffled(values, seed) {
  let next = seed * 2654435761 + 1
  let random = () => (next = (next * 1103515245 + 12345) % 2147483648) / 2147483648
  return values.map(value => [random(), value]).sort((a, b) => a[0] - b[0]).map(([, value]) => value)
}

function itemsIn(state) {
  return state?.kind === 'map' ? itemsIn(state.keys.a) : state?.items
}

test('a document is what the server says, in any order and however often', () => {
  for (let { about, entries, value } of histories) {
    deepEqual(fold(entries).value, value, about)
    for (let seed = 1; seed < 6; seed++) {
      let twice = [...shuffled(entries, seed), ...entries]
      deepEqual(fold(twice).value, value, `${about}, order ${seed}: ${JSON.stringify(entries)}`)
    }
  }
})

test('an action that is undone leaves its document', () => {
  for (let { about, entries, without } of histories) {
    let middle = Math.floor(entries.length / 2)
    let undone = fold([...entries, [{ type: 'logux/undo', id: entries[middle][1].id }, {}]])
    deepEqual(undone.value, without, about)
    deepEqual(fold([entries[middle]], undone).value, without, 'and does not come back')
  }
})

test('a state is taken over', () => {
  for (let { about, state, value } of histories) {
    deepEqual(new Document('d').apply(state, {}).value, value, about)
    let items = itemsIn(state.state)
    if (items) {
      let named = new Document('d').apply(state, {}).list(['a']).items
      deepEqual(named.map(({ place, element }) => [place, element]), items.map(it => [it.place ?? it.element, it.element]))
    }
  }
})

test('elements have the names that the server gives them', () => {
  let lists = histories.filter(history => itemsIn(history.state.state) && history.about === 'list')
  ok(lists.length > 0)
  for (let { entries, state } of lists) {
    let items = fold(entries).list(['a']).items
    let told = itemsIn(state.state).map(({ value, element, place }) => ({ value, element, place: place ?? element }))
    deepEqual(items, told)
  }
})

test('what needs no context is right on a page that is told none', () => {
  for (let { about, entries, value } of histories) {
    if (!WITHOUT_CONTEXT.includes(about) || removes({ entries })) continue
    let told = entries.map(([action, { id, time }]) => [action, { id, time }])
    for (let seed = 1; seed < 6; seed++) deepEqual(fold(shuffled(told, seed)).value, value, about)
  }
})

test('counters, registers and grow-only sets go on from a state', () => {
  for (let { about, entries, halfway, value } of histories) {
    if (!FROM_STATE.includes(about) || removes({ entries })) continue
    let rest = entries.slice(Math.floor(entries.length / 2))
    deepEqual(fold(rest, new Document('d').apply(halfway, {})).value, value, about)
  }
})

test('actions are read, and refused, in the words of the server', () => {
  for (let { action, fault } of shared('actions.json')) {
    try {
      parse(action)
      equal(null, fault, JSON.stringify(action))
    } catch (thrown) {
      if (!(thrown instanceof Malformed)) fail(thrown)
      equal(thrown.message, fault, JSON.stringify(action))
    }
  }
})
