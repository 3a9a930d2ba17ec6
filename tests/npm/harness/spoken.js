// How pages speak: the real packages of each version, and what tests need of a version's own.

import * as client5 from '@logux/client'
import { IndexedStore } from '@logux/client'
import * as core5 from '@logux/core'
import * as client7 from 'logux-client-7'
import * as core4 from 'logux-core-4'
import * as core7 from 'logux-core-7'

/** Stores that outlive the pages of a test, where a version has none on disk that works in Node. */
const stores = new Map()

function remembered(Store) {
  return name => {
    if (!stores.has(name)) stores.set(name, new Store())
    return stores.get(name)
  }
}

const asText = {
  protocol: 7,
  api: client7,
  isFirstOlder: core7.isFirstOlder,
  MemoryStore: core7.MemoryStore,
  store: remembered(core7.MemoryStore)
}

/**
 * `api` is what `@logux/client` exports; `store` is what a page keeps under a name when it is loaded again. The
 * client of protocol 7 is that of 5 on the core of 7: no other is released.
 */
const KINDS = {
  client: {
    protocol: 5,
    api: client5,
    isFirstOlder: core5.isFirstOlder,
    MemoryStore: core5.MemoryStore,
    store: name => new IndexedStore(name)
  },
  '7 text': asText,
  '7 binary': {
    ...asText,
    connection: (url, options) => new core7.Reconnect(new core7.WsBinaryConnection(url), options)
  },
  4: { protocol: 4, isFirstOlder: core4.isFirstOlder, store: remembered(core4.MemoryStore) }
}

/** Those with all of `@logux/client`. */
export const CLIENTS = ['client', '7 text', '7 binary']

/** All of them. */
export const SPOKEN = [...CLIENTS, '4']

/** The numbers of the protocols. */
export const PROTOCOLS = [4, 5, 7]

export const kindOf = speaks => KINDS[speaks] ?? KINDS['7 text']

/**
 * Has a page of protocol 7 say encrypted actions as bytes, as its binary form has them; the client that encrypts
 * knows them as text only.
 */
export function encryptAsBytes(page) {
  const { onReceive, onSend } = page.node.options
  const bytes = text => new Uint8Array(Buffer.from(text, 'base64'))
  const text = bytes => Buffer.from(bytes).toString('base64')
  page.node.options.onSend = async (action, meta) => {
    const sent = await onSend(action, meta)
    if (sent === false || sent[0].type !== '0') return sent
    const { d, iv, z } = sent[0]
    return [{ type: '0', d: bytes(d), iv: bytes(iv), compressed: z }, sent[1]]
  }
  page.node.options.onReceive = (action, meta) => {
    if (action.type !== '0') return onReceive(action, meta)
    const { d, iv, compressed } = action
    return onReceive({ type: '0', d: text(d), iv: text(iv), z: compressed }, meta)
  }
}
