// The service worker of the demo: the package's, which a push wakes. There is no push service on one machine, so the
// page may say that there was a push; from there on everything is as it would be.

import { startTidelog } from '../src/service-worker.js'

let onPush
startTidelog({ open: '/' }, {
  get clients() {
    return self.clients
  },
  get registration() {
    return self.registration
  },
  addEventListener(name, listener) {
    if (name === 'push') onPush = listener
    self.addEventListener(name, listener)
  }
})

self.addEventListener('install', () => self.skipWaiting())
self.addEventListener('message', event => {
  if (event.data === 'push') onPush({ data: null, waitUntil: work => event.waitUntil(work) })
})
