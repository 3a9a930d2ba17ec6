// As much of a browser as CrossTabClient wants.

import { Browser as Globals } from './globals.js'
import { Heard } from './pages.js'

export class Browser extends Globals {
  /** Makes a tab; beside what its log hears, it notes what the tab's own listeners hear, from other tabs too. */
  tab(create) {
    const client = create()
    client.heardByTab = new Heard(client, client)
    return client
  }
}
