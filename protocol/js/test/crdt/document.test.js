// A document on a page: shown at once, acknowledged later, and never changed under who holds it.

import { deepEqual, equal, throws } from 'node:assert/strict'
import { test } from 'node:test'
import { batch, counter, Document, documents, list, map, register, set, text } from '../../src/crdt/index.js'
import { inThreeParts } from '../../src/crdt/names.js'

const SERVER = '00000000000000ab'
const of = client => {
  let sequence = 0
  return time => ({ id: `${time} ${client}:tab ${sequence++}`, time })
}
const answer = (meta, position) => [
  { type: 'logux/processed', id: meta.id },
  { id: `9 server:${SERVER}:${position} 0`, time: 9 }
]
const state = (position, place) => [
  { type: 'crdt/state', doc: 'd', state: place },
  { id: `9 server:${SERVER}:${String(position).padStart(13, '0')} 4`, time: 9 }
]
const mine = () => new Document('d', { client: '10:phone' })

test('an action shows at once, waits for its answer, and leaves when it is undone', () => {
  let next = of('10:phone')
  let [one, other] = [next(1), next(2)]
  let document = mine().apply(counter.add('d', [], 2), one).apply(counter.add('d', [], 3), other)
  equal(document.value, 5)
  deepEqual(document.pending, [one.id, other.id])
  document = document.apply(...answer(one, 1))
  deepEqual(document.pending, [other.id])
  document = document.apply({ type: 'logux/undo', id: other.id }, {})
  equal(document.value, 2)
  deepEqual(document.pending, [])
})

test('what a client has kept and sent long ago does not wait', () => {
  let next = of('10:phone')
  let [sent, waits] = [{ ...next(1), reasons: ['board'] }, { ...next(2), reasons: ['syncing', 'board'] }]
  let document = mine().apply(counter.add('d', [], 2), sent).apply(counter.add('d', [], 3), waits)
  deepEqual(document.pending, [waits.id])
  equal(document.apply(...state(7, { kind: 'counter', value: 2 })).value, 5)
})

test('what waits for the server stays on top of a state that comes meanwhile', () => {
  let meta = of('10:phone')(1)
  let document = mine().apply(counter.add('d', [], 2), meta).apply(...state(7, { kind: 'counter', value: 40 }))
  equal(document.value, 42)
  equal(document.apply(...answer(meta, 8)).value, 42, 'the server took it after the state')
  equal(document.apply(...answer(meta, 7)).value, 40, 'the server took it before, so the state had it')
})

test('what the server had sent is in the state that follows', () => {
  let theirs = of('10:laptop')
  let document = mine().apply(counter.add('d', [], 2), theirs(1)).apply(...state(7, { kind: 'counter', value: 40 }))
  equal(document.value, 40)
  equal(document.apply(counter.add('d', [], 1), theirs(2)).value, 41)
  let named = position => ({ ...theirs(3), dots: [`${SERVER}:${position}`], context: {} })
  equal(document.apply(counter.add('d', [], 1), named(7)).value, 40, 'it comes again')
  equal(document.apply(counter.add('d', [], 1), named(8)).value, 41)
})

test('a document stays what it was when the next one is made', () => {
  let next = of('10:phone')
  let first = mine().apply(text.insert('d', [], {}, 'Hi'), next(1))
  let second = first.apply(first.text().insert(2, ' you'), next(2))
  let other = first.apply(first.text().insert(2, '!'), next(3))
  deepEqual([first, second, other, first].map(document => document.value), ['Hi', 'Hi you', 'Hi!', 'Hi'])
  equal(first.apply({ type: 'todo/add' }, next(4)), first)
  equal(first.apply({ ...counter.add('d', [], 1), by: 'x' }, next(5)), first, 'the server refuses it')
})

test('who removes on a page removes what is on it', () => {
  let [phone, laptop] = [of('10:phone'), of('10:laptop')]
  let document = mine().apply(set.add('d', [], 'apples'), laptop(5)).apply(set.remove('d', [], 'apples'), phone(4))
  equal(document.value, null)
  equal(mine().apply(register.set('d', ['a'], 1), laptop(5)).apply(map.remove('d', ['a']), phone(4)).value, null)
})

test('lists and texts are changed by index', () => {
  let next = of('10:phone')
  let document = mine()
  let act = action => (document = document.apply(action, next(1)))
  act(document.list(['l']).insert(0, 'a', 'c'))
  act(document.list(['l']).insert(1, 'b'))
  act(document.list(['l']).move(2, 0))
  deepEqual(document.at(['l']), ['c', 'a', 'b'])
  act(document.list(['l']).delete(1, 2))
  deepEqual(document.at(['l']), ['c'])
  throws(() => document.list(['l']).insert(2, 'x'), RangeError)
  throws(() => document.list(['none']).insert(1, 'x'), RangeError)

  act(document.text(['t']).insert(0, '😀 hello'))
  act(document.text(['t']).become('😀 hallo!'))
  equal(document.at(['t']), '😀 hallo!')
  equal(document.text(['t']).become('😀 hallo!'), undefined)
  act(document.text(['t']).become(''))
  equal(document.at(['t']), undefined)
})

test('two who edit one text offline end with both edits', () => {
  let [phone, laptop] = [of('10:phone'), of('10:laptop')]
  let first = [text.insert('d', [], {}, 'milk, bread'), phone(1)]
  let start = new Document('d').apply(...first)
  let one = [start.text().become('oat milk, bread'), phone(2)]
  let other = [start.text().become('milk, bread, tea'), laptop(2)]
  equal(start.apply(...one).apply(...other).value, 'oat milk, bread, tea')
  equal(start.apply(...other).apply(...one).value, 'oat milk, bread, tea')
})

test('typing where a state has hidden what was deleted still finds its place', () => {
  let passages = [['1 10:laptop:tab 0', 0, 'ab'], ['1 10:laptop:tab 0', 4, 'e']]
  let document = mine().apply(...state(7, { kind: 'text', passages }))
  let [here, gone] = [['1 10:laptop:tab 0', 1], ['1 10:laptop:tab 0', 2]]
  equal(document.apply(text.insert('d', [], { after: here, before: gone }, 'X'), of('10:tv')(9)).value, 'abXe')
  equal(document.apply(text.insert('d', [], { after: gone, before: null }, 'X'), of('10:tv')(9)).value, 'abeX')
})

test('of two right neighbours the one further right decides, on whichever side of the first element it stands', () => {
  let named = number => `${number} 10:tv:tab 0`
  let put = (number, value, after, before) => [
    list.insert('d', [], { after: after && named(after), before: before && named(before) }, [value]),
    { id: named(number), time: number }
  ]
  // Before the first element there is another tree than after it.
  let start = [put(1, 'first', null, null), put(2, 'S', null, 1), put(3, 'T', null, 1)]
  let [far, near] = [put(4, 'far', 3, 1), put(5, 'near', 3, 2)]
  for (let both of [[far, near], [near, far]]) {
    let document = [...start, ...both].reduce((folded, it) => folded.apply(...it), new Document('d'))
    deepEqual(document.value, ['T', 'far', 'near', 'S', 'first'])
  }
})

test('a reducer keeps the documents that actions name', () => {
  let reduce = documents({ client: '10:phone' })
  let next = of('10:phone')
  let meta = next(1)
  let one = reduce(undefined, counter.add('likes', [], 1), meta)
  let two = reduce(one, { ...set.add('cart', [], 'tea'), meta: next(2) })
  deepEqual([two.likes.value, two.cart.value], [1, ['tea']])
  equal(two.likes, one.likes)
  equal(reduce(two, { type: 'todo/add' }), two)
  equal(reduce(two, { type: 'logux/undo', id: meta.id }).likes.value, null)
  equal(two.likes.value, 1)
})

test('ids of protocol 7 are those of three parts', () => {
  // The table of the server's codec.
  for (let [three, two] of [
    ['1795222947872 10:cli:t 0', 'P6vc3VV 10:cli:t'],
    ['1795222947872 10:cli:t 1', '-0P6vc3VV 10:cli:t'],
    ['1795222947872 10:cli:t 2047', 'UzP6vc3VV 10:cli:t'],
    ['1795222947872 10:cli:t 2048', 'P6vc3VV 10:cli:t\u001f-------V-'],
    ['1795222947872 server:7:9 1099511627783', 'P6vc3VV server:7:9\u001f--F-----6'],
    ['4398046511103 a 0', 'zzzzzzz a'],
    ['4398046511104 a 0', '0------- a\u001f---------']
  ]) {
    deepEqual([inThreeParts(two), inThreeParts(three)], [three, three])
  }
  for (let bad of [undefined, '', 'P6vc3VV ', 'P6vc3VV', 'P6+ a', 'P6vc3VV a\u001f--------0', '1 a 2 3']) {
    equal(inThreeParts(bad), undefined, bad)
  }

  let meta = { id: 'P6vc3VV 10:phone:tab', time: 1795222947872 }
  let document = mine().apply(text.insert('d', [], {}, 'Hi'), meta)
  deepEqual(document.text().insert(2, '!').after, ['1795222947872 10:phone:tab 0', 1])
  deepEqual(document.pending, ['1795222947872 10:phone:tab 0'])
  let processed = document.apply({ type: 'logux/processed', id: meta.id }, { id: `P6vc3VW server:${SERVER}:9` })
  deepEqual(processed.pending, [])
  equal(document.apply({ type: 'logux/undo', id: meta.id }, {}).value, null)
})

test('a batch is one action', () => {
  let both = batch([counter.add('d', ['n'], 2), list.insert('d', ['l'], {}, ['x'])])
  deepEqual(mine().apply(both, of('10:phone')(1)).value, { l: ['x'], n: 2 })
  deepEqual(batch([counter.add('d', [], 1)]), counter.add('d', [], 1))
})

test('what the server says that its author had seen counts for an action of the page, too', () => {
  let seen = new Document('d', { client: '10:a' })
    .apply(set.add('d', [], 'x'), { id: '1 10:b:t 0', dots: [`${SERVER}:1`], context: {} })
    .apply(set.remove('d', [], 'x'), { id: '5 10:a:t 0', reasons: ['syncing'] })
  equal(seen.value, null)
  let answer = context => [
    { id: '5 10:a:t 0', type: 'logux/processed' },
    { id: '5 server:http:10.a.t 0', dots: [`${SERVER}:2`], context }
  ]
  equal(seen.apply(...answer({ [SERVER]: [1] })).value, null)
  let unseen = seen.apply(...answer({ [SERVER]: [0] }))
  deepEqual([unseen.value, unseen.pending], [['x'], []])
  equal(unseen.apply(...answer({ [SERVER]: [0] })), unseen)
})
