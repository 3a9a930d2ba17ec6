// The reference server with rules for what tidelog-sim sends, on PORT. It stores nothing: an action without
// reasons never enters its log.

import { Server } from '@logux/server'

const server = new Server({
  subprotocol: 0,
  minSubprotocol: 0,
  fileUrl: import.meta.url,
  host: '127.0.0.1',
  port: Number(process.env.PORT),
  // A line for each connection and action would be measured, too.
  logger: { debug() {}, info() {}, warn() {}, error: console.error, fatal: console.error }
})

server.auth(() => true)
server.type('sim/share', { access: () => true, resend: (_, action) => ({ channel: action.channel }) })
server.type(/^sim\//, { access: () => true })
server.channel('sim/:name', { access: () => true })

await server.listen()
console.log(`logux listens on ${server.options.host}:${server.options.port}`)
