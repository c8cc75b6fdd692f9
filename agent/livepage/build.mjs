// Makes dist/index.html, one page with everything in it. The result is committed, so that building the Go
// packages needs no node:
//
//	npm ci && npm run build
import { build } from 'esbuild'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'

const bundle = async (entry, loader) => {
  const out = await build({ entryPoints: [entry], bundle: true, minify: true, write: false, format: 'iife', target: 'es2022', legalComments: 'inline', ...loader })
  return out.outputFiles[0].text.trim()
}
const script = await bundle('src/main.js')
const style = await bundle('src/style.css')
if (script.includes('</script') || style.includes('</style')) throw new Error('the bundle would end its element')
const page = readFileSync('src/page.html', 'utf8').replace('/*STYLE*/', () => style).replace('/*SCRIPT*/', () => script)
mkdirSync('dist', { recursive: true })
writeFileSync('dist/index.html', page)
