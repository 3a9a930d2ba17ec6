// The configuration files that the tests give to the server.

/** Rules of a small application: notes for oneself and for others, posts with channels, tasks as a SyncMap. */
export const RULES = `
[[action]]
type = "app/*"

[[action]]
type = "live/*"
keep = false

[[action]]
type = "secret/*"
allow = "false"

[[action]]
type = "locale/*"
allow = "'locale' in headers && headers.locale == action.locale"

[[action]]
type = "note/*"
users = ["{action.to}"]

[[action]]
type = "posts/*"
channels = ["posts/{action.id}"]

[[action]]
type = "both/*"
channels = ["posts/{action.id}"]
users = ["{action.to}"]

[[channel]]
pattern = "posts/:id"
allow = "params.id != 'hidden'"

[[channel]]
pattern = "fresh/:id"
load = "none"

[[sync_map]]
name = "tasks"
`
