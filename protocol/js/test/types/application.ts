// What an application in TypeScript writes, against the types that the package ships.

import { CrossTabClient } from '@logux/client'
import { configureStore, createSlice, type PayloadAction } from '@reduxjs/toolkit'
import { FallbackConnection, HttpConnection, tidelogConnection } from 'tidelog/connection'
import { Api, isPassing, Problem } from 'tidelog/http'
import { registerPush, takeNews, unregisterPush } from 'tidelog/push'
import { createTidelog, UNDONE } from 'tidelog/redux'
import { startTidelog } from 'tidelog/service-worker'

const url = 'https://sync.example.com'

export const client = new CrossTabClient({
  server: tidelogConnection({ live: 'poll', url }),
  subprotocol: 1,
  token: 'token',
  userId: '10'
})

const todos = createSlice({
  initialState: [] as string[],
  name: 'todos',
  reducers: { add: (state, { payload }: PayloadAction<string>) => [...state, payload] }
})

const tidelog = createTidelog({ sync: ['todos/*'], token: async () => 'token', url, user: '10' })
const store = configureStore({
  middleware: usual => usual().concat(tidelog.middleware),
  reducer: tidelog.reducer(todos.reducer)
})
export const first: string | undefined = store.getState()[0]
const added = store.dispatch(todos.actions.add('milk'))
export const verdict: Promise<void> = tidelog.verdict(added)
export const undone: 'tidelog/undone' = UNDONE

const api = new Api({ client: '10:phone', token: () => 'token', url })
export const cursor: Promise<string> = api.pull({ wait: 20 }).then(page => page.cursor)
export const kind = (error: unknown) => (error instanceof Problem ? error.kind : isPassing(error))

export const ways = [new HttpConnection({ url }), new FallbackConnection(undefined, new HttpConnection({ url }))]
export const worker = () => startTidelog({ notify: ({ news }) => ({ title: `${news}` }) })
export const push: Promise<string> = registerPush({ token: 'token', url, user: '10' })
export const over = [unregisterPush({ url, user: '10' }), takeNews({ user: '10' })]

// @ts-expect-error the server must be named
tidelogConnection({})
// @ts-expect-error so must what syncs
createTidelog({ url, user: '10' })
