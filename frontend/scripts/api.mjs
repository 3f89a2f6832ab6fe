// Writes src/api/schema.d.ts from the OpenAPI document of the server in this tree.
// schema.sha256 beside it lets a test notice when the types are older than the endpoints.
// openapi-typescript needs TypeScript 5 while the app is checked by 6, so it runs from a place of its own.
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'

const root = resolve(import.meta.dirname, '../..')
const scratch = mkdtempSync(join(tmpdir(), 'roost-openapi-'))
try {
  const printed = execFileSync(join(root, '.venv/bin/python'), ['frontend/scripts/api_document.py'], {
    cwd: root,
    env: { ...process.env, ROOST_DATA_DIR: scratch },
    maxBuffer: 64 * 1024 * 1024,
  })
  const { document, digest } = JSON.parse(printed)
  const source = join(scratch, 'openapi.json')
  writeFileSync(source, JSON.stringify(document))
  execFileSync(
    'npx',
    [
      '--yes', '-p', 'typescript@5.9.3', '-p', 'openapi-typescript@7.13.0', 'openapi-typescript',
      source, '--output', join(root, 'frontend/src/api/schema.d.ts'),
    ],
    { cwd: scratch, stdio: 'inherit' },
  )
  writeFileSync(join(root, 'frontend/src/api/schema.sha256'), `${digest}\n`)
} finally {
  rmSync(scratch, { recursive: true, force: true })
}
