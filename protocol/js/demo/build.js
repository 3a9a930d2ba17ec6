// Bundles the demo into the server's tree, or says with --check whether what is there is what would come out.

import { build } from 'esbuild'
import { readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const here = name => fileURLToPath(new URL(name, import.meta.url))
const target = name => here(`../../../server/src/http/demo/${name}`)

async function bundled(entry, format = 'esm') {
  const { outputFiles } = await build({
    absWorkingDir: here('..'),
    bundle: true,
    charset: 'utf8',
    define: { 'process.env.NODE_ENV': '"production"' },
    entryPoints: [here(entry)],
    format,
    legalComments: 'eof',
    minify: true,
    target: 'es2022',
    write: false
  })
  return Buffer.from(outputFiles[0].contents)
}

const files = {
  'app.js': await bundled('main.js'),
  'service-worker.js': await bundled('service-worker.js', 'iife'),
  'index.html': readFileSync(here('index.html')),
  'style.css': await bundled('style.css')
}

const stale = Object.keys(files).filter(name => {
  try {
    return !readFileSync(target(name)).equals(files[name])
  } catch {
    return true
  }
})
if (!process.argv.includes('--check')) {
  for (const name of stale) writeFileSync(target(name), files[name])
  console.log(Object.entries(files).map(([name, bytes]) => `${name} ${bytes.length} bytes`).join(', '))
} else if (stale.length > 0) {
  console.error(`server/src/http/demo is not what protocol/js makes: ${stale.join(', ')}. Run: cd protocol/js && npm run demo`)
  process.exit(1)
}
