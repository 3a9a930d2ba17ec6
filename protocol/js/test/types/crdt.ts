// The CRDT vocabulary in TypeScript.

import { batch, counter, Document, documents, list, Malformed, parse, set, text } from 'tidelog/crdt'
import { combineReducers } from '@reduxjs/toolkit'

const meta = { id: '1 10:phone:tab 0', time: 1 }
const board = new Document('board', { client: '10:phone' })
export const next: Document = board.apply(counter.add('board', ['likes'], 2), meta)
export const names = next.list(['items']).items.map(({ element }) => element)
export const action = batch([list.insert('board', ['items'], { after: names[0] ?? null, before: null }, ['milk']), set.add('board', ['tags'], 'a')])
export const edit: { type: string } | undefined = next.text(['note']).become('Who brings tea?')
export const typed = text.insert('board', ['note'], {}, 'Hi')
export const fault = (thrown: unknown): string => (thrown instanceof Malformed ? thrown.place : '')
export const kinds = parse(action).changes.map(change => change.kind)
export const reducer = combineReducers({ documents: documents({ client: '10:phone' }) })
